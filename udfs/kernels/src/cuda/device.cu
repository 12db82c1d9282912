// What the kernels share: the job, how near a row may be at most, and what only a device can say.
//
// No header is needed, so that NVRTC compiles this without a toolkit. `tests/cuda/shim.h` gives the
// same words to a compiler for the host (EMULATED), which then runs these very kernels.

typedef unsigned int u32;
typedef unsigned long long u64;

#ifndef EMULATED
// The value that the lane whose number differs by `mask` gives.
#define SHUFFLE(value, mask) __shfl_xor_sync(0xffffffffu, value, mask)
// Shared memory that the launch gives.
#define SHARED(type, name) extern __shared__ type name[]

// 16 bytes that are read once and need no place in the first cache.
static __device__ __forceinline__ uint4 load16(const uint4* from) {
    uint4 x;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "l"(from));
    return x;
}

// Two half floats of a word.
static __device__ __forceinline__ void widen(u32 pair, float& low, float& high) {
    asm("{ .reg .b16 a, b; mov.b32 {a, b}, %2; cvt.f32.f16 %0, a; cvt.f32.f16 %1, b; }"
        : "=f"(low), "=f"(high)
        : "r"(pair));
}
#endif

// Of a row: its length, and how far its half floats are from it.
struct Size {
    float length, error;
};

// Of a query: see `bounds.rs`.
struct Terms {
    float scale, square, error, length, least;
    u32 cosine;
};

// All that a launch is told; `job.rs` has the same fields.
struct Job {
    const uint4* rows;    // half floats, eight a unit
    const Size* sizes;    // of each row
    const u32* visible;   // a bit a row; null: all
    const float* queries; // eight a unit
    const Terms* terms;   // of each query
    const float* products; // of each query `stride`, of the rows from `first` on
    u64* limits;          // of each query: a key that is less is out
    u64* fresh;           // of each query `room` keys: found since the last selection
    u32* found;           // how many those are, or would be
    u64* kept;            // of each query `wanted` keys: the best of all before
    u64* next;            // the same, written by a selection
    u32* held;            // how many are kept
    u32* full;            // 1 when more were found than there is room for
    u32 units, first, end, wanted, room, queries_count, stride, unused;
};

// A row longer than this is scored on the host.
#define MOST 1073741824.0f

static __device__ __forceinline__ bool is_visible(const Job& job, u32 row) {
    return !job.visible || (job.visible[row / 32] >> (row % 32) & 1);
}

// What a row's half floats are multiplied by to be its elements: a power of two that follows from
// its length, as `halves.rs` has it.
static __device__ __forceinline__ float unscaled(float length) {
    u32 exponent = __float_as_uint(length) & 0x7f800000u;
    return exponent <= (14u << 23) ? 1.0f : __uint_as_float(exponent - (14u << 23));
}

// Greater numbers have greater keys; of equal ones, lower rows have.
static __device__ __forceinline__ u64 key_of(float number, u32 row) {
    u32 bits = __float_as_uint(number);
    u32 ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (u64)ordered << 32 | (u32)~row;
}

// Notes a row whose product with a query is known, if it may be among the nearest.
static __device__ __forceinline__ void offer(const Job& job, u32 query, u32 row, Size size,
                                             float product) {
    Terms terms = job.terms[query];
    if (!(size.length >= terms.least && size.length <= MOST)) return;
    float near = product * unscaled(size.length) * terms.scale;
    near += terms.error * size.error + terms.square * size.length * size.length;
    near = terms.cosine ? near / size.length + terms.length : near + terms.length * size.length;
    u64 key = key_of(near, row);
    if (key < job.limits[query]) return;
    u32 place = atomicAdd(&job.found[query], 1u);
    if (place < job.room) job.fresh[(u64)query * job.room + place] = key;
}
