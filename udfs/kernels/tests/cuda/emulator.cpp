// A machine for the kernels, driven through a pipe: memory, launches and products, one command at a
// time. Answers follow commands that read. `emulator.rs` is the other end.

#include "shim.h"

#include "../../src/cuda/device.cu"
#include "../../src/cuda/scan.cu"
#include "../../src/cuda/select.cu"

static void take(void* to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) != bytes) exit(0);
}
template <class T>
static T take() {
    T x;
    take(&x, sizeof x);
    return x;
}
static void give(const void* from, size_t bytes) {
    fwrite(from, 1, bytes, stdout);
    fflush(stdout);
}

template <int QUERIES, int LANES>
static void scan(const Job& job) {
    SHARED(float4, shared);
    place_queries<QUERIES>(job, shared);
    scan_rows<QUERIES, LANES>(job, shared);
}

template <int QUERIES>
static void (*scan_of(unsigned lanes))(const Job&) {
    switch (lanes) {
        case 1: return scan<QUERIES, 1>;
        case 2: return scan<QUERIES, 2>;
        case 4: return scan<QUERIES, 4>;
        case 8: return scan<QUERIES, 8>;
        case 16: return scan<QUERIES, 16>;
        case 32: return scan<QUERIES, 32>;
    }
    return nullptr;
}

static void (*scan_of(unsigned queries, unsigned lanes))(const Job&) {
    switch (queries) {
        case 1: return scan_of<1>(lanes);
        case 2: return scan_of<2>(lanes);
        case 4: return scan_of<4>(lanes);
        case 8: return scan_of<8>(lanes);
    }
    return nullptr;
}

static void launch() {
    unsigned kernel = take<unsigned>(), queries = take<unsigned>(), lanes = take<unsigned>();
    unsigned across = take<unsigned>(), down = take<unsigned>(), threads = take<unsigned>();
    unsigned shared = take<unsigned>();
    Job job = take<Job>();
    if (kernel == 0) {
        auto scan = scan_of(queries, lanes);
        if (!scan) abort();
        emulated.run(across, down, threads, shared, [&] { scan(job); });
    } else if (kernel == 1) {
        emulated.run(across, down, threads, shared, [&] { gate_rows(job); });
    } else {
        // Fewer threads than on a device take more turns for the same.
        static Pass pass;
        emulated.run(across, down, min(threads, 64u), shared, [&] { select_keys(job, &pass); });
    }
}

static void multiply() {
    auto rows = (const uint16_t*)take<u64>(), queries = (const uint16_t*)take<u64>();
    unsigned width = take<unsigned>(), rows_count = take<unsigned>();
    unsigned queries_count = take<unsigned>();
    auto out = (float*)take<u64>();
    unsigned stride = take<unsigned>();
    std::vector<float> query(width), row(width);
    for (unsigned r = 0; r < rows_count; r++) {
        for (unsigned i = 0; i < width; i++) row[i] = half_value(rows[(size_t)r * width + i]);
        for (unsigned q = 0; q < queries_count; q++) {
            float sum = 0;
            for (unsigned i = 0; i < width; i++) {
                sum += row[i] * half_value(queries[(size_t)q * width + i]);
            }
            out[(size_t)q * stride + r] = sum;
        }
    }
}

int main() {
    while (true) {
        char command = take<char>();
        if (command == 'a') {
            u64 bytes = take<u64>();
            // Of the size that was asked for, so that what is beyond it is seen to be.
            void* memory = nullptr;
            if (posix_memalign(&memory, 256, bytes)) abort();
            memset(memory, 0xff, bytes);
            give(&memory, 8);
        } else if (command == 'f') {
            free((void*)take<u64>());
        } else if (command == 'w') {
            void* to = (void*)take<u64>();
            take(to, take<u64>());
        } else if (command == 'r') {
            void* from = (void*)take<u64>();
            give(from, take<u64>());
        } else if (command == 'l') {
            launch();
        } else if (command == 'm') {
            multiply();
        } else {
            abort();
        }
    }
}
