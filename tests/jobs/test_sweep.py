"""Plans to programs to chunks: what shares a program, what has the same address, what is kept."""

import itertools

import pytest

from plateaus.build.recipes import sections
from plateaus.config.plan import checked_plan
from plateaus.jobs.identities import digest, identity
from plateaus.jobs.sweep import (
    Member,
    chunk,
    chunks,
    members,
    named,
    programs,
    setting,
    unnamed,
)

PARTS = sections({"task.name": "sparse_parity", "model.name": "mlp"})


def plan_of(sweep, seeds=3, **given):
    given = {name.replace("__", "."): value for name, value in given.items()}
    names = {"task.name": "sparse_parity", "model.name": "mlp", "seeds": seeds}
    return checked_plan("sparse_parity-test", PARTS, names | given, sweep, "test")


EXPONENTS = {"data.zipf_exponent": (0.0, 1.0)}


def test_members_are_the_product_with_seeds_fastest():
    plan = plan_of({"data.subset": (0.5, 1.0), "model.width": (8, 16)}, seeds=2)
    expected = [
        Member((rho, width), seed)
        for rho, width, seed in itertools.product((0.5, 1.0), (8, 16), (0, 1))
    ]
    assert list(members(plan)) == expected
    assert setting(plan, expected[-1])["model.width"] == 16
    assert plan.config["model.width"] == 40  # the plan itself is left alone
    assert members(plan_of({}, seeds=2)) == (Member((), 0), Member((), 1))


def test_knobs_share_a_program_and_static_fields_do_not():
    knobs = plan_of({"data.zipf_exponent": (0.0, 1.0), "optim.learning_rate": (0.1, 0.2)})
    (one,) = programs(knobs, members(knobs))
    assert len(one.members) == 12

    static = plan_of({"data.zipf_exponent": (0.0, 1.0), "model.width": (8, 16)})
    two = programs(static, members(static))
    assert [program.config["model.width"] for program in two] == [8, 16]
    assert [len(program.members) for program in two] == [6, 6]
    assert two[0].address != two[1].address


def test_a_program_s_address_is_blind_to_values_seeds_and_order():
    plan = plan_of(EXPONENTS)
    address = programs(plan, members(plan))[0].address
    more = plan_of({"data.zipf_exponent": (2.0, 1.0, 0.0)}, seeds=9)
    assert programs(more, members(more)[5:])[0].address == address
    rate = plan_of(EXPONENTS, optim__learning_rate=0.3)  # a knob in use at any value
    assert programs(rate, members(rate))[0].address == address
    for other in (
        plan_of(EXPONENTS, model__width=41),
        plan_of(EXPONENTS, batch=21),
        plan_of(EXPONENTS, task__staircase_epsilon=0.1),  # compiled in, where it was not
        plan_of({}),
    ):
        assert programs(other, members(other))[0].address != address


def test_identity_holds_neither_seeds_nor_swept_values():
    plan = plan_of(EXPONENTS)
    assert identity(plan_of({"data.zipf_exponent": (3.0,)}, seeds=8)) == identity(plan)
    assert identity(plan_of(EXPONENTS, steps=600)) != identity(plan)
    assert identity(plan_of({**EXPONENTS, "data.subset": (1.0,)})) != identity(plan)
    both = {"data.subset": (1.0,), "data.zipf_exponent": (0.0,)}
    assert identity(plan_of(both)) == identity(plan_of(dict(reversed(both.items()))))


def test_names_survive_another_order_of_the_sweep():
    plan = plan_of({"data.subset": (0.5, 1.0), "model.width": (8,)})
    other = plan_of({"model.width": (8,), "data.subset": (0.5, 1.0)})
    for member in members(plan):
        assert unnamed(plan, named(plan, member)) == member
        moved = unnamed(other, named(plan, member))
        assert moved == Member(member.values[::-1], member.seed)
        assert setting(other, moved) == setting(plan, member)


def test_chunks_hold_each_member_once_in_order():
    plan = plan_of(EXPONENTS, seeds=5)
    (program,) = programs(plan, members(plan))
    cut = chunks(plan, program, width=4)
    assert [len(one.members) for one in cut] == [4, 4, 2]
    assert tuple(itertools.chain.from_iterable(one.members for one in cut)) == program.members
    assert len({one.address for one in cut}) == 3
    again = chunks(plan, program, width=4)
    assert [one.address for one in again] == [one.address for one in cut]


def test_chunks_that_were_begun_stay_together():
    plan = plan_of(EXPONENTS, seeds=5)
    (program,) = programs(plan, members(plan))
    group = program.members[3:6]
    gone = (Member((7.0,), 0), program.members[0])  # one of them is not wanted any more
    cut = chunks(plan, program, 4, [group, gone, ()])
    assert cut[0].members == group and cut[0].address == chunk(plan, program, group).address
    assert sorted(itertools.chain.from_iterable(one.members for one in cut)) == sorted(
        program.members
    )
    assert [len(one.members) for one in cut] == [3, 4, 3]
    overlapping = chunks(plan, program, 4, [group, program.members[5:7]])
    assert sum(len(one.members) for one in overlapping) == len(program.members)


def test_a_chunk_s_address_depends_on_who_is_in_it_and_on_its_program():
    plan, other = plan_of(EXPONENTS), plan_of(EXPONENTS, model__width=8)
    first, second = (programs(p, members(p))[0] for p in (plan, other))
    addresses = {
        chunk(plan, first, first.members[:2]).address,
        chunk(plan, first, first.members[1:3]).address,
        chunk(plan, first, first.members[:2][::-1]).address,
        chunk(other, second, second.members[:2]).address,
    }
    assert len(addresses) == 4


@pytest.mark.parametrize("thing", [{"a": [1, 2.5]}, [{"x": None}], "text"])
def test_digests_are_short_hexadecimal_and_repeat(thing):
    assert digest(thing) == digest(thing) != digest([thing])
    assert len(digest(thing)) == 10 and int(digest(thing), 16) >= 0
