//! Whatever goes wrong, the caller is told to scan on the CPU, and why.

use std::sync::atomic::Ordering;

use kernels::cuda::{Device, Options, Search};
use kernels::simd::level::Level;
use kernels::vectors::{Metric, Rows, Visible};

use super::emulator::device;
use super::exact::{check, numbers};

fn search<'a>(metric: Metric, chunks: &'a [Rows<'a>]) -> Search<'a> {
    let visible = Visible::default();
    Search { level: Level::best(), metric, segment: 1, chunks, visible, first_key: 0 }
}

fn reason(device: &Device, search: &Search<'_>, queries: &[f32], k: usize) -> String {
    device.nearest(search, queries, k).unwrap_err().to_string()
}

/// With no driver there is a reason and no panic; with one there is a device, or another reason.
#[test]
fn a_machine_without_a_gpu() {
    let options = Options { cubins: None, most_bytes: 1 << 30, threads: 1 };
    match Device::open(options) {
        Ok(device) => println!("skipped: there is {}", device.name()),
        Err(error) => {
            println!("{error}");
            let known = ["no NVIDIA driver (libcuda) was found", "the NVIDIA driver", "the GPU "];
            let others = ["no CUDA compiler (libnvrtc) was found", "the CUDA compiler"];
            let mut known = known.iter().chain(&others);
            assert!(known.any(|start| error.to_string().starts_with(start)), "{error}");
        }
    }
}

#[test]
fn what_the_device_does_not_do() {
    let all = numbers(100 * 4, 1);
    let chunks = [Rows::single(&all, 4).unwrap()];
    let (device, controls) = device(1 << 30);
    let queries = numbers(4, 2);
    let l2 = search(Metric::L2, &chunks);
    let l1 = search(Metric::L1, &chunks);
    assert_eq!(reason(&device, &l1, &queries, 1), "the device does not compute L1 distances");
    let short = reason(&device, &l2, &queries[..3], 1);
    assert_eq!(short, "a query has another dimension than the rows");
    assert_eq!(reason(&device, &l2, &queries, 0), "no rows are asked for");
    for query in [[0.0; 4], [f32::NAN; 4], [f32::INFINITY; 4], [1e30; 4], [1e-30; 4]] {
        let strange = reason(&device, &l2, &query, 1);
        assert_eq!(strange, "a query is zero, no number or of extreme length");
    }
    let other = [chunks[0], Rows::single(&all, 5).unwrap()];
    let mixed = reason(&device, &search(Metric::L2, &other), &queries, 1);
    assert_eq!(mixed, "rows differ in their dimension");
    assert_eq!(reason(&device, &search(Metric::L2, &[]), &queries, 1), "there are no rows");
    let long = numbers(20_000 * 2, 1);
    let wide = [Rows::single(&long, 20_000).unwrap()];
    let wide = reason(&device, &search(Metric::L2, &wide), &long[..20_000], 1);
    assert_eq!(wide, "vectors of so many dimensions are too long for a block");
    // None of this has hurt it.
    assert!(controls.launches.load(Ordering::Relaxed) == 0);
    check(&device, &l2, &all, &queries, 3);
}

#[test]
fn rows_that_half_floats_do_not_tell_apart() {
    let all: Vec<f32> = (0..70_000 * 2).map(|i| 1.0 + (i % 977) as f32 * 1e-7).collect();
    let chunks = [Rows::single(&all, 2).unwrap()];
    let (device, _) = device(1 << 30);
    let found = reason(&device, &search(Metric::L2, &chunks), &[1.0, 1.0], 5);
    assert_eq!(found, "too many rows are equally near to tell them apart by half floats");
    let many = reason(&device, &search(Metric::L2, &chunks), &[1.0, 1.0], 60_000);
    assert_eq!(many, "the device does not select 60000 rows");
}

/// A search fails at each of its launches in turn; the next one is right.
#[test]
fn launches_that_fail() {
    let all = numbers(9000 * 4, 1);
    let chunks = [Rows::single(&all, 4).unwrap()];
    let (device, controls) = device(1 << 30);
    let queries = numbers(4 * 9, 2);
    let search = search(Metric::L2, &chunks);
    for launch in 1..=4 {
        controls.failing_launch.store(launch, Ordering::Relaxed);
        let found = reason(&device, &search, &queries, 10);
        assert_eq!(found, "the GPU failed to start a kernel: it is asked to");
        check(&device, &search, &all, &queries, 10);
    }
}

/// At each limit a search has the answer or says that memory is short, and holds no more after it
/// than its column and what the next one needs as well.
#[test]
fn memory_that_is_short() {
    let all = numbers(3000 * 16, 1);
    let chunks = [Rows::single(&all, 16).unwrap()];
    let queries = numbers(16, 2);
    let search = search(Metric::L2, &chunks);
    let mut answers = 0;
    for memory in (0..600).map(|step| 1000 + step * 1000) {
        let (device, controls) = device(1 << 30);
        controls.memory.store(memory, Ordering::Relaxed);
        match device.nearest(&search, &queries, 10) {
            Ok(_) => {
                check(&device, &search, &all, &queries, 10);
                answers += 1;
                if answers == 3 {
                    return;
                }
            }
            Err(error) => {
                let told = error.to_string();
                assert!(told.starts_with("the device has no 1 MB of memory free"), "{told}");
                controls.memory.store(0, Ordering::Relaxed);
                check(&device, &search, &all, &queries, 10);
            }
        }
    }
    panic!("no memory was enough");
}

#[test]
fn without_products_queries_are_scanned() {
    let all = numbers(500 * 40, 1);
    let chunks = [Rows::single(&all, 40).unwrap()];
    let (device, controls) = device(1 << 30);
    controls.no_products.store(true, Ordering::Relaxed);
    check(&device, &search(Metric::Cosine, &chunks), &all, &numbers(40 * 19, 2), 10);
    assert_eq!(controls.products.load(Ordering::Relaxed), 0);
}
