"""The record of exactness: whatever changes a bit of a result is in it, compared, and named."""

import json
import os
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest

from plateaus import evaluation, train
from plateaus.build.recipes import make_recipe, sections, stack_knobs
from plateaus.config.plan import Options, checked_plan
from plateaus.config.schema import ConfigError
from plateaus.jobs import checkpoint, cli, devices, exactness, preparing, run, switches, worker
from plateaus.report import store

pytestmark = pytest.mark.versions

TINY = {
    "steps": 40,
    "batch": 4,
    "seeds": 2,
    "eval_every": 10,
    "log_every": 10,
    "eval_points": 16,
    "task.name": "sparse_parity",
    "task.dimension": 4,
    "task.relevant_bits": 1,
    "task.dataset_size": 100,
    "model.name": "mlp",
    "model.width": 4,
}
SWEEP = {"data.zipf_exponent": (0.0, 1.0)}


def plan_of(swept=SWEEP, **given):
    return checked_plan("tiny", sections(TINY), {**TINY, **given}, swept)


def execute(plan, place, **options):
    return run.execute(plan, Options(workdir=place, command="test", **options))


def record():
    return exactness.record(jax.devices()[0], 16)


# What the record says.


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", []),
        ("--xla_cpu_enable_fast_math", ["--xla_cpu_enable_fast_math=true"]),
        ("--xla_b=1  --xla_a=2", ["--xla_a=2", "--xla_b=1"]),
        ("--xla_a=1 --xla_a=2", ["--xla_a=2"]),
        ("--xla_dump_to=/tmp/x --xla_dump_hlo_as_text", []),
        ("--xla_force_host_platform_device_count=7 --xla_hlo_profile", []),
    ],
)
def test_flags_count_as_they_act(text, flags, tmp_path):
    assert exactness.effective_flags(text) == flags
    if text:  # XLA takes the path of a file with flags as well
        (tmp_path / "flags").write_text(text)
        assert exactness.effective_flags(str(tmp_path / "flags")) == flags


def test_the_record_is_complete_and_can_be_kept():
    found = record()
    assert json.loads(json.dumps(found)) == found
    assert {"jax", "jaxlib", "flax", "optax", "numpy"} <= set(found)
    assert found["instructions"] == devices.instructions()
    assert {"platform", "platform_version", "device", "xla_flags", "width"} <= set(found)
    decisive = {"jax_threefry_partitionable", "jax_default_matmul_precision"}
    assert decisive | {"jax_random_seed_offset", "jax_softmax_custom_jvp"} <= set(found)


def test_a_file_of_flags_is_spelt_out_and_added_to(monkeypatch, tmp_path):
    """Nothing can be added to its path."""
    (tmp_path / "flags").write_text("--xla_a=1\n--xla_b=2\n")
    monkeypatch.setenv("XLA_FLAGS", f" {tmp_path / 'flags'}")
    monkeypatch.setattr(devices, "started", lambda: False)
    devices.configure()
    found = os.environ["XLA_FLAGS"].split()
    assert found[:2] == ["--xla_a=1", "--xla_b=2"] and len(found) == 4
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="none: neither flags nor a file: No such file"):
        devices.configure()


def test_where_jax_finds_no_device_there_is_one_line(monkeypatch):
    def none():
        raise RuntimeError("Unable to initialize backend 'bogus':\n it is none")

    monkeypatch.setattr(jax, "devices", none)
    with pytest.raises(ConfigError) as refused:
        devices.configure()
    (line,) = refused.value.problems
    assert "no device (JAX_PLATFORMS = 'cpu'): Unable to initialize backend 'bogus'" in line
    assert "\n" not in line


ZEN = """\
processor	: 0
vendor_id	: AuthenticAMD
cpu family	: 25
model		: 1
model name	: AMD EPYC
stepping	: 1
flags		: fpu mmx sse avx avx2 fma ibrs

"""
ARM = """\
processor	: 0
Features	: fp asimd sve crc32
CPU implementer	: 0x41
CPU architecture: 8
CPU part	: 0xd40

"""
ZEN4 = ZEN.replace("model\t\t: 1", "model\t\t: 17")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ZEN, ZEN4, False),  # of one name
        (ZEN, ZEN.replace("avx2", "avx2 avx512f"), False),  # as a virtual machine shows it
        (ZEN, ZEN.replace("avx avx2 fma ibrs", "fma avx2 avx ssbd"), True),  # another kernel
        (ZEN, ZEN + ZEN.replace(": 0", ": 1", 1), True),  # more of them
        (ARM, ARM.replace("0xd40", "0xd4f"), False),
        (ARM, ARM.replace("sve", ""), False),
        (ARM, ARM.replace("crc32", ""), True),
    ],
)
def test_cpus_of_one_name_are_told_apart_by_what_they_compute_with(one, other, same, monkeypatch):
    texts = iter([one, other])
    monkeypatch.setattr(devices.Path, "read_text", lambda self, **_: next(texts))
    assert (devices.instructions() == devices.instructions()) == same


def test_the_threads_of_a_cpu_are_recorded_as_xla_counts_them(monkeypatch):
    """One a processor, or as the environment says, and at least one a device."""
    for name in ("PJRT_NPROC", "NPROC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(devices, "cores", lambda: 1)
    assert record()["threads"] == len(jax.devices()) == 4
    monkeypatch.setattr(devices, "cores", lambda: 64)
    assert record()["threads"] == 64
    monkeypatch.setenv("NPROC", "7")
    assert record()["threads"] == 7
    monkeypatch.setenv("PJRT_NPROC", "5")
    assert record()["threads"] == 5
    monkeypatch.setenv("PJRT_NPROC", "2")
    assert record()["threads"] == 4
    assert exactness.effective_flags("--xla_force_host_platform_device_count=7") == []


def test_flags_that_come_too_late_are_not_on_record(monkeypatch):
    """In a notebook JAX may have computed before: its devices are made, and its flags read."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=somewhere")
    jax.devices()
    assert devices.started()
    devices.configure()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=somewhere" and record()["xla_flags"] == []
    monkeypatch.setattr(devices, "started", lambda: False)
    devices.configure()
    assert record()["xla_flags"] == ["--xla_cpu_multi_thread_eigen=false"]


def test_every_switch_of_jax_has_a_decision():
    """In the record, refused, or neutral; and no name twice."""
    names = set(jax.config.values)
    assert not switches.NEUTRAL & set(switches.REFUSED)
    assert set(switches.recorded()) == names - switches.NEUTRAL - set(switches.REFUSED)


def test_differences_name_what_differs_and_nothing_else():
    there = {"jax": "1", "xla_flags": ["--xla_a=1"], "width": 4}
    assert exactness.differences(there, dict(there)) == []
    assert exactness.differences(there, {**there, "jax": "2"}) == ["jax was 1, is 2"]
    assert exactness.differences(there, {**there, "xla_flags": []}) == [
        "xla_flags was --xla_a=1, is not set"
    ]
    assert exactness.differences({"jax": "1"}, there) == ["xla_flags, width were not recorded"]
    assert exactness.differences(there, {"jax": "1", "width": 4}) == [
        "xla_flags was recorded, and is no more"
    ]


def test_runs_that_went_on_otherwise_are_like_no_others():
    here = {"jax": "2"}
    mixed = exactness.resumed({"jax": "1"}, here)
    assert mixed == {"jax": "2", "resumed": "jax was 1, is 2"}
    (difference,) = exactness.differences(mixed, here)
    assert "went on under other circumstances once (jax was 1, is 2)" in difference
    assert exactness.resumed(here, here) == here


# Each entry refuses.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("whole") / "run"
    assert execute(plan_of(), place) == 0
    return place


def mutated(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value, "--xla_another=1"]
    return 1 + value if isinstance(value, int | float) else f"other {value}"


@pytest.fixture(scope="module")
def more(whole):
    """What a command for one more seed comes down to, before it is refused or run."""
    return preparing.prepare(plan_of(seeds=3), Options(dry_run=True), whole, print)


@pytest.mark.parametrize("name", sorted(record()))
def test_runs_are_not_added_where_an_entry_differs(name, more):
    (address,) = more.exactness
    here = {**record(), name: mutated(record()[name])}
    with pytest.raises(ConfigError) as refused:
        preparing._refuse_inexact(more._replace(exactness={address: here}), [])
    (line,) = refused.value.problems
    assert f"would not match bit for bit: {name} was " in line and line.count(" was ") == 1
    assert "--workdir" in line and "--allow-inexact-resume" in line
    preparing._refuse_inexact(more, [])  # under the record that it has, nothing is refused


def test_runs_of_a_variant_that_has_changed_are_compared_too(more):
    more.finished.foreign.append({**record(), "jax": "0.1"})
    with pytest.raises(ConfigError, match=r"jax was 0\.1"):
        preparing._refuse_inexact(more, [])
    more.finished.foreign.clear()


def test_what_is_finished_stays_finished_and_may_be_added_to_knowingly(whole, monkeypatch):
    here = {**record(), "jax": "another"}
    monkeypatch.setattr(exactness, "record", lambda device, width: here)
    assert execute(plan_of(), whole, dry_run=True) == 0
    with pytest.raises(ConfigError, match=f"jax was {jax.__version__}, is another. Use another"):
        execute(plan_of(seeds=3), whole, dry_run=True)
    assert execute(plan_of(seeds=3), whole, dry_run=True, allow_inexact_resume=True) == 0


def test_runs_of_another_program_are_compared_in_all_but_the_width(whole, monkeypatch):
    swept = {**SWEEP, "model.width": (4, 8)}
    place = whole.parent / "two"
    assert execute(plan_of({**SWEEP, "model.width": (4,)}), place) == 0
    assert execute(plan_of(swept), place, dry_run=True, runs_per_batch=3) == 0
    here = {**record(), "jax_threefry_partitionable": False}
    monkeypatch.setattr(exactness, "record", lambda device, width: here)
    with pytest.raises(ConfigError, match="jax_threefry_partitionable was True, is False"):
        execute(plan_of(swept), place, dry_run=True)


# An interrupted chunk.


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A folder whose job was stopped after its second checkpoint."""
    saves, real = [], checkpoint.save
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", -1.0)

    def save(*arguments):
        saves.append(real(*arguments))
        if len(saves) == 2:
            raise KeyboardInterrupt
        return saves[-1]

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(KeyboardInterrupt):
        execute(plan_of(), tmp_path / "run")
    monkeypatch.setattr(checkpoint, "save", real)
    return tmp_path / "run"


def notes(place):
    return {p: p.read_bytes() for p in place.rglob("*.json") if p.name != "provenance.json"}


def test_an_interrupted_chunk_goes_on_under_the_same_record(interrupted, whole, capsys):
    assert execute(plan_of(), interrupted) == 0
    for path in sorted((interrupted / "checkpoints" / "finished").glob("*.npz")):
        arrays, meta = checkpoint.read_arrays(path)
        others, _ = checkpoint.read_arrays(whole / path.relative_to(interrupted))
        assert meta["exactness"] == record()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, others[name])


def test_an_interrupted_chunk_does_not_go_on_under_another_record(interrupted, monkeypatch):
    here = {**record(), "jax": "another"}
    monkeypatch.setattr(exactness, "record", lambda device, width: here)
    before = notes(interrupted)
    with pytest.raises(ConfigError) as refused:
        execute(plan_of(), interrupted)
    (line,) = refused.value.problems
    assert "interrupted runs that would not go on bit for bit: jax was " in line
    assert "--allow-inexact-resume" in line
    assert notes(interrupted) == before  # nothing is overwritten by a refusal
    assert execute(plan_of(), interrupted, allow_inexact_resume=True) == 0
    (path,) = (interrupted / "checkpoints" / "finished").glob("*.npz")
    _, meta = checkpoint.read_arrays(path)
    assert meta["exactness"]["resumed"] == f"jax was {jax.__version__}, is another"
    with pytest.raises(ConfigError, match="went on under other circumstances once"):
        execute(plan_of(seeds=3), interrupted)


def test_an_older_checkpoint_of_another_record_is_passed_over(interrupted, capsys):
    """The newest is damaged; the one before was made otherwise, and is not mixed in."""
    first, second = sorted(interrupted.rglob("checkpoint-*.npz"))
    arrays, meta = checkpoint.read_arrays(first)
    checkpoint.write_arrays(first, arrays, {**meta, "exactness": {**record(), "jax": "0.1"}})
    second.write_bytes(second.read_bytes()[:-1])
    assert execute(plan_of(), interrupted) == 0
    said = capsys.readouterr().err
    assert f"the runs start again: jax was 0.1, is {jax.__version__}" in said
    (path,) = (interrupted / "checkpoints" / "finished").glob("*.npz")
    assert checkpoint.read_arrays(path)[1]["exactness"] == record()


# Switches.


@pytest.mark.parametrize("name", sorted(switches.REFUSED))
def test_a_switch_that_no_run_works_under_is_refused(name, monkeypatch, tmp_path):
    values = {**jax.config.values, name: True}
    monkeypatch.setattr(type(jax.config), "values", property(lambda self: values))
    with pytest.raises(ConfigError) as refused:
        execute(plan_of(), tmp_path / "run")
    (line,) = refused.value.problems
    assert line.startswith(f"{name.upper()} is on: ") and line.endswith("switch it off")
    assert not (tmp_path / "run").exists()


def test_another_random_stream_is_not_pooled(tmp_path):
    """By the real command, in a process of its own, as a user has it."""
    words = ["--config=configs/sparse_parity.py", "--sweep", "data.subset=1", "--workdir"]
    words += [str(tmp_path / "run")]
    words += [f"--config.{n}={v}" for n, v in TINY.items() if not n.endswith(("name", "seeds"))]
    assert cli.main([*words, "--seeds=1"]) == 0
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

    def command(**environment):
        return subprocess.run(
            [sys.executable, "experiments/run.py", *words, "--seeds=2", "--dry-run"],
            cwd=repository,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    other = command(JAX_THREEFRY_PARTITIONABLE="0")
    assert other.returncode == 2
    assert "jax_threefry_partitionable was True, is False" in other.stderr
    threads = record()["threads"]
    wider = command(PJRT_NPROC=str(threads + 1))  # large sums are cut by it
    assert wider.returncode == 2
    assert f"threads was {threads}, is {threads + 1}. " in wider.stderr
    harmless = f"{os.environ['XLA_FLAGS']} --xla_dump_to={tmp_path / 'dump'}"
    more = command(XLA_FLAGS=harmless, JAX_LOG_COMPILES="1")
    assert more.returncode == 0, more.stderr
    assert "1 of 2 runs are finished already; 1 to run" in more.stdout


@pytest.mark.parametrize("name", ["jax_debug_nans", "jax_debug_infs"])
def test_a_run_that_diverges_stops_nobody_under_jax_s_own_checks(name, tmp_path):
    rates = {"optim.learning_rate": (0.1, 1e6)}
    before = jax.config.values[name]
    jax.config.update(name, True)
    try:
        assert execute(plan_of(rates), tmp_path / "run") == 0
    finally:
        jax.config.update(name, before)
    status = store.load(tmp_path / "run" / "results.nc").status
    assert status.values.tolist() == [[store.FINISHED] * 2, [store.DIVERGED] * 2]


def flipped(name, value):
    """Another value that a switch can take; None where there is none to try."""
    if isinstance(value, bool):
        return not value
    tried = {
        "jax_captured_constants_report_frames": 3,
        "jax_captured_constants_warn_bytes": 10**9,
        "jax_compilation_cache_max_size": 10**9,
        "jax_compiler_detailed_logging_min_ops": 1000,
        "jax_default_prng_impl": "rbg",
        "jax_explicit_x64_dtypes": "allow",
        "jax_hlo_source_file_canonicalization_regex": ".*/",
        "jax_numpy_rank_promotion": "allow",
        "jax_persistent_cache_min_compile_time_secs": 5.0,
        "jax_persistent_cache_min_entry_size_bytes": 100,
        "jax_traceback_filtering": "off",
        "jax_traceback_in_locations_limit": 10,
        "jax_tracer_error_num_traceback_frames": 2,
        "jax_transfer_guard": "log",
        "jax_transfer_guard_device_to_device": "log",
        "jax_transfer_guard_device_to_host": "log",
        "jax_transfer_guard_host_to_device": "log",
        "jax_array_garbage_collection_guard": "log",
    }
    return tried.get(name)


# Read when devices are made, or asked of hosts and kernels that are not here: there is nothing to
# flip in a running process, and no line of a program that they could change.
NOT_FLIPPED = frozenset(switches._CONNECTIONS.split()) | {
    *("jax_logging_level", "jax_debug_log_modules", "jax_dump_ir_to", "jax_dump_ir_modes"),
    *("jax_compilation_cache_dir", "jax_send_traceback_to_runtime", "jax_source_url_schema"),
    *("jax_persistent_cache_enable_xla_caches", "jax_share_binary_between_hosts_timeout_ms"),
    *("jax_export_calling_convention_version", "jax_serialization_version"),
    *("jax_pallas_auto_assign_collective_ids", "jax_pallas_auto_assign_collective_ids_limit"),
    *("jax_legacy_prng_key", "jax_check_tracer_leaks", "jax_enable_checks"),
}


def final_weights(plan):
    """The bits of a short run, compiled anew."""
    recipe = make_recipe(plan.resolved, frozenset({"data.zipf_exponent"}))
    knobs = stack_knobs(plan.resolved, [plan.config])
    knobs = jax.tree.map(lambda x: x[0], knobs)

    def whole(seed, knobs, start):
        laws, _ = evaluation.laws(recipe, seed, knobs)
        state, _ = train.init(recipe, seed, knobs, laws)
        return train.phase(recipe, state, seed, knobs, laws, start)

    with jax.debug_nans(False), jax.debug_infs(False):
        state, measured = jax.jit(whole)(np.uint32(3), knobs, np.int32(0))
    leaves = jax.tree.leaves((state.params, measured.evaluation))
    return [np.asarray(leaf).tobytes() for leaf in leaves]


@pytest.mark.thorough
@pytest.mark.programs(400)  # a run compiled anew under each switch
def test_a_neutral_switch_changes_no_bit():
    plan = plan_of(**{"data.zipf_exponent": 0.5, "optim.learning_rate": 0.1})
    expected, tried = final_weights(plan), 0
    for name in sorted(switches.NEUTRAL & set(jax.config.values) - NOT_FLIPPED):
        value = jax.config.values[name]
        other = flipped(name, value)
        assert other is not None, f"{name} = {value!r}: say another value, or why there is none"
        jax.config.update(name, other)
        try:
            jax.clear_caches()
            with warnings.catch_warnings(action="ignore"):  # of caches: they are what is switched
                assert final_weights(plan) == expected, name
        finally:
            jax.config.update(name, value)
        tried += 1
    assert tried > 30


@pytest.mark.thorough
def test_a_recorded_switch_can_change_bits():
    """The record is not idle: the random streams, at least, are others."""
    plan = plan_of()
    before = final_weights(plan)
    with jax.threefry_partitionable(not jax.config.values["jax_threefry_partitionable"]):
        assert final_weights(plan) != before
