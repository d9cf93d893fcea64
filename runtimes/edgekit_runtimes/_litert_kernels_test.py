import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("ai_edge_litert")
from edgekit_runtimes._litert_capi import Event, ProfilerMissing
from edgekit_runtimes._litert_kernels import KINDS, Kernel, align, op_times
from edgekit_runtimes._litert_nodes import DELEGATE, Node, Wiring, partitions


def nodes(*names, partition=0):
    return [Node(i, name, (), (), (), partition) for i, name in enumerate(names)]


def kernels(*names):
    return [Kernel(f"{name} (NHWC, QC8) IGEMM", float(i)) for i, name in enumerate(names)]


def owners(found):
    return {index: [int(k.mean_us) for k in ks] for index, ks in found.items()}


def test_an_activation_kernel_belongs_to_the_operator_before():
    found = align(nodes("CONV_2D", "ADD", "CONV_2D"), kernels("Convolution", "Add", "Clamp", "Convolution"))
    assert owners(found) == {0: [0], 1: [1, 2], 2: [3]}


def test_an_operator_without_a_kernel_gets_none():
    found = align(nodes("PAD", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"), kernels("Convolution", "Fully Connected"))
    assert owners(found) == {0: [], 1: [0], 2: [], 3: [1]}


def test_a_pointwise_convolution_may_run_as_fully_connected():
    found = align(nodes("DEPTHWISE_CONV_2D", "CONV_2D", "FULLY_CONNECTED"), kernels("Convolution", "Fully Connected", "Fully Connected"))
    assert owners(found) == {0: [0], 1: [1], 2: [2]}


def test_unknown_kernels_are_not_lost():
    found = align(nodes("CONV_2D", "ADD"), kernels("Mystery", "Convolution", "Mystery", "Add", "Mystery"))
    assert owners(found) == {0: [0, 1, 2], 1: [3, 4]}


@given(
    st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=12),
    st.lists(st.sampled_from([k for v in KINDS.values() for k in v]), max_size=14),
)
def test_every_kernel_has_one_owner_and_order_is_kept(names, kinds):
    found = align(nodes(*names), kernels(*kinds))
    assert [k for i in sorted(found) for k in owners(found)[i]] == list(range(len(kinds)))


def events(runs, *rows):
    return [Event(name, delegated, index, us) for _ in range(runs) for name, delegated, index, us in rows]


def test_times_are_put_together():
    table = [
        *nodes("CONV_2D", "ADD"),
        Node(2, "SOFTMAX", (), (), (), None),
        Node(3, "RESHAPE", (), (), (), 1),
        Node(4, "FULLY_CONNECTED", (), (), (), 1),
    ]
    run = (
        ("Convolution (NHWC) IGEMM", True, 0, 10),
        ("Add (ND)", True, 1, 3),
        ("Clamp (NC)", True, 2, 1),
        ("SOFTMAX", False, 2, 5),
        ("Fully Connected (NC)", True, 0, 7),
    )
    found = op_times(table, events(4, *run), 4)
    assert [(op.mean_us, op.delegated) for op in found] == [(10, True), (4, True), (5, False), (None, True), (7, True)]
    assert found[1].kernel == "Add (ND) + Clamp (NC)"


def test_disturbed_runs_do_not_count():
    calm, disturbed = events(3, ("SOFTMAX", False, 0, 4)), events(1, ("SOFTMAX", False, 0, 4000))
    assert op_times(nodes("SOFTMAX", partition=None), [*calm[:1], *disturbed, *calm[1:]], 4)[0].mean_us == 4


@pytest.mark.parametrize(
    "profile", [[], events(3, ("SOFTMAX", False, 0, 4)), events(2, ("SOFTMAX", False, 9, 4)), events(2, ("ADD", False, 0, 4))]
)
def test_a_profile_of_something_else_is_not_believed(profile):
    with pytest.raises(ProfilerMissing):
        op_times(nodes("SOFTMAX", partition=None), profile, 2)


def test_partitions_are_found_from_their_borders():
    chain = [
        Wiring("CONV_2D", (0, 90), (1,)),
        Wiring("ADD", (1, 0), (2,)),
        Wiring("SOFTMAX", (2,), (3,)),
        Wiring("MUL", (3, 2), (4,)),
        Wiring(DELEGATE, (0, 90), (2,)),
        Wiring(DELEGATE, (3, 2), (4,)),
    ]
    assert partitions(chain) == {0: 0, 1: 0, 3: 1}


def test_without_a_delegate_there_are_none():
    assert partitions([Wiring("ADD", (0, 1), (2,))]) == {}
