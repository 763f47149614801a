"""The switches of JAX's configuration, by their effect on the bits of a result.

A switch that is not listed here, such as one of a later JAX, counts as changing them: its value is
part of the record of exactness (`plateaus.jobs.exactness`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

_CACHES = """
    jax_compilation_cache_check_contents jax_compilation_cache_dir jax_compilation_cache_expect_pgle
    jax_compilation_cache_include_metadata_in_key jax_compilation_cache_max_size
    jax_enable_compilation_cache jax_explain_cache_misses jax_persistent_cache_enable_xla_caches
    jax_persistent_cache_min_compile_time_secs jax_persistent_cache_min_entry_size_bytes
    jax_raise_persistent_cache_errors jax_remove_custom_partitioning_ptr_from_cache_key
    jax_share_binary_between_hosts jax_share_binary_between_hosts_timeout_ms
"""
_MESSAGES = """
    jax_captured_constants_report_frames jax_captured_constants_warn_bytes
    jax_compiler_detailed_logging_min_ops jax_debug_log_modules jax_distributed_debug
    jax_dump_ir_modes jax_dump_ir_to jax_hlo_source_file_canonicalization_regex
    jax_include_debug_info_in_dumps jax_include_full_tracebacks_in_locations
    jax_log_checkpoint_residuals jax_log_compiles jax_logging_level
    jax_mosaic_unzip_debug_locations jax_pallas_verbose_errors jax_pprint_use_color
    jax_send_traceback_to_runtime jax_source_url_schema jax_traceback_filtering
    jax_traceback_in_locations_limit jax_tracer_error_num_traceback_frames
"""
_CHECKS = """
    check_vma jax_array_garbage_collection_guard jax_check_proxy_envs jax_check_tracer_leaks
    jax_custom_vjp_disable_shape_check jax_debug_infs jax_debug_key_reuse
    jax_debug_leaked_clients_on_clear_backends jax_debug_nans jax_disable_bwd_checks
    jax_disallow_mesh_context_manager jax_enable_checks jax_explicit_x64_dtypes
    jax_legacy_prng_key jax_mutable_array_checks jax_numpy_rank_promotion
    jax_raise_on_ppermute_sort_diff jax_thread_guard jax_transfer_guard
    jax_transfer_guard_device_to_device jax_transfer_guard_device_to_host
    jax_transfer_guard_host_to_device
"""
# Which devices there are, how hosts find one another: platform and device are recorded themselves.
_CONNECTIONS = """
    jax_backend_target jax_cpu_collectives_implementation jax_cpu_enable_gloo_collectives
    jax_cpu_get_global_topology_timeout_minutes jax_cpu_get_local_topology_timeout_minutes
    jax_cross_host_transfer_socket_address jax_cross_host_transfer_timeout_seconds
    jax_cross_host_transfer_transfer_size jax_cross_host_transport_addresses
    jax_cuda_visible_devices jax_default_device jax_distributed_verify_secure_credentials
    jax_enable_preemption_service jax_enable_recoverability jax_force_dcn_cross_host_transfers
    jax_mock_gpu_topology jax_mtls_ca_file jax_mtls_cert_file jax_mtls_key_file
    jax_mtls_peer_uri_prefix jax_num_cpu_devices jax_oneapi_visible_devices
    jax_platform_name jax_platforms jax_rocm_visible_devices jax_sort_devices_by_process_index
    jax_xla_backend mock_num_gpu_processes
"""
# Of programs that there are none of here: exported ones, TensorFlow's, kernels, sparse matrices;
# and the kind of key, which `plateaus.types.streams` names itself.
_ELSEWHERE = """
    jax2tf_associative_scan_reductions jax2tf_default_native_serialization
    jax_bcoo_cusparse_lowering jax_default_prng_impl jax_export_calling_convention_version
    jax_export_deserialize_expired_versions jax_export_ignore_forward_compatibility
    jax_mosaic_allow_hlo jax_pallas_auto_assign_collective_ids
    jax_pallas_auto_assign_collective_ids_limit jax_pallas_enable_debug_checks
    jax_pallas_poison_buffers jax_pallas_use_mosaic_gpu jax_serialization_version
"""
NEUTRAL = frozenset(" ".join((_CACHES, _MESSAGES, _CHECKS, _CONNECTIONS, _ELSEWHERE)).split())
"""Switches that no bit of a result depends on."""

REFUSED = {
    "jax_enable_x64": "runs are in 32 bits, and so are their records",
    "jax_disable_jit": "every step would be taken operation by operation",
    "jax_no_execution": "nothing would be computed",
    "jax_no_tracing": "no program could be made",
}
"""Switches that no run works under when they are on, and why."""

PINNED = {
    "jax_debug_infs": False,  # a run that diverges is marked, and disturbs nobody
    "jax_debug_nans": False,
    "jax_enable_checks": False,  # under which keys that are folded in a loop count as used twice
    "jax_numpy_dtype_promotion": "standard",
    "jax_transfer_guard": "allow",
}
"""Checks for a user's own code, and the value that they have while this package computes."""


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Give the checks of `PINNED` their values, in this thread, for a while.

    >>> with jax.numpy_dtype_promotion("strict"), pinned():
    ...     print(jax.numpy.ones(1, "float32") + jax.numpy.ones(1, "int32"))
    [2.]
    """
    with contextlib.ExitStack() as held:
        for name, value in PINNED.items():
            held.enter_context(getattr(jax, name.removeprefix("jax_"))(value))
        yield


def refused() -> list[str]:
    """Return a line for each switch that is on and that no run works under."""
    values = jax.config.values
    return [
        f"{name.upper()} is on: {reason}; switch it off"
        for name, reason in REFUSED.items()
        if values.get(name)
    ]


def recorded() -> dict[str, Any]:
    """Return the value of every switch that bits may depend on, as JSON can keep it."""
    return {
        name: _plain(PINNED.get(name, value))
        for name, value in sorted(jax.config.values.items())
        if name not in NEUTRAL and name not in REFUSED
    }


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)  # of an enumeration
    return value if isinstance(value, bool | int | float | str | None) else str(value)
