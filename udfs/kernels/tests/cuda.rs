//! The search on a GPU without one: the very kernels run on the host, results are those of the CPU
//! to the bit, and every fault is an answer that sends the caller to the CPU.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cuda {
    mod emulator;
    mod exact;
    mod faults;
    mod resident;
    mod stand_in;
}
