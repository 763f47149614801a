"""Contenders timed in turn."""


def test_ratios_are_of_neighbours_in_time(module):
    timing = module("timing")
    clock = {"ours": iter([1.0, 10.0, 2.0]), "peer": iter([8.0, 80.0, 20.0])}

    def contender(name, run_steps):
        return timing.Contender(name, run_steps, lambda: timing.Sample(next(clock[name]), 1.0))

    ours, peer = contender("ours", 100), contender("peer", 50)
    samples = timing.in_turn([ours, peer], 3)
    assert timing.ratios(samples, peer, ours)["wall"] == 16.0
    assert timing.microseconds(samples["peer"], 50)["wall_us"] == 20.0 / 50 * 1e6
