// Runs the kernels and their products, for whoever has memory and the arguments.

#include "shim.h"

#include "../../src/cuda/device.cu"
#include "../../src/cuda/scan.cu"
#include "../../src/cuda/select.cu"

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

enum Kernel { SCAN, GATE, SELECT };

static void run(Kernel kernel, unsigned queries, unsigned lanes, unsigned across, unsigned down,
                unsigned threads, unsigned shared, const Job& job) {
    if (kernel == SCAN) {
        auto scan = scan_of(queries, lanes);
        if (!scan) abort();
        emulated.run(across, down, threads, shared, [&] { scan(job); });
    } else if (kernel == GATE) {
        emulated.run(across, down, threads, shared, [&] { gate_rows(job); });
    } else {
        // Fewer threads than on a device take more turns for the same.
        static Pass pass;
        emulated.run(across, down, min(threads, 64u), shared, [&] { select_keys(job, &pass); });
    }
}

// Of column-major matrices with `width` rows each, the first transposed.
static void product(const uint16_t* a, const uint16_t* b, unsigned width, unsigned columns_a,
                    unsigned columns_b, float* out, unsigned stride) {
    std::vector<float> row(width);
    for (unsigned r = 0; r < columns_a; r++) {
        for (unsigned i = 0; i < width; i++) row[i] = half_value(a[(size_t)r * width + i]);
        for (unsigned q = 0; q < columns_b; q++) {
            float sum = 0;
            for (unsigned i = 0; i < width; i++) {
                sum += row[i] * half_value(b[(size_t)q * width + i]);
            }
            out[(size_t)q * stride + r] = sum;
        }
    }
}
