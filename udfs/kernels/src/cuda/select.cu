// Many queries: `gate` reads a tile of products. Both ways: `select` keeps the best keys.

// Queries that a block of `gate` goes through with its rows.
#define GATED 32

// A thread has one row and meets GATED queries; `products` are those of a tile.
static __device__ __forceinline__ void gate_rows(const Job& job) {
    u32 place = blockIdx.x * blockDim.x + threadIdx.x;
    u32 row = job.first + place;
    if (row >= job.end || !is_visible(job, row)) return;
    Size size = job.sizes[row];
    u32 last = min((blockIdx.y + 1) * GATED, job.queries_count);
    for (u32 query = blockIdx.y * GATED; query < last; query++) {
        offer(job, query, row, size, job.products[(u64)query * job.stride + place]);
    }
}

// What the threads of a block tell each other.
struct Pass {
    u32 bins[256];
    u32 digit, need, last, taken;
};

// The bin of the `need`-th greatest key, by one warp: each lane sums eight bins, and lanes learn
// how many keys are above theirs.
static __device__ __forceinline__ void find_bin(Pass* pass, u32 need) {
    u32 lane = threadIdx.x, own = 0, above = 0;
    for (u32 i = 0; i < 8; i++) own += pass->bins[lane * 8 + i];
    u32 total = own;
    for (u32 offset = 1; offset < 32; offset *= 2) {
        u32 other = SHUFFLE(total, offset);
        above += lane & offset ? 0 : other;
        total += other;
    }
    if (above >= need || above + own < need) return;
    u32 bin = lane * 8 + 7;
    for (; above + pass->bins[bin] < need; bin--) above += pass->bins[bin];
    pass->digit = bin;
    pass->need = need - above;
    pass->last = pass->bins[bin] == need - above;
}

// One step of `select`: which eight bits the `need`-th greatest key has at `shift`, of those keys
// that have `prefix` where `mask` has ones.
template <class Keys>
static __device__ __forceinline__ void find_digit(Pass* pass, Keys keys, u32 total, u64 prefix,
                                                  u64 mask, int shift, u32 need) {
    for (u32 i = threadIdx.x; i < 256; i += blockDim.x) pass->bins[i] = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < total; i += blockDim.x) {
        u64 key = keys(i);
        if ((key & mask) == prefix) atomicAdd(&pass->bins[key >> shift & 255], 1u);
    }
    __syncthreads();
    if (threadIdx.x < 32) find_bin(pass, need);
    __syncthreads();
}

// A block has one query. Keys all differ, so exactly `wanted` are kept whatever order they came in.
// Whole warps.
static __device__ __forceinline__ void select_keys(const Job& job, Pass* pass) {
    u32 query = blockIdx.x, held = job.held[query], found = job.found[query];
    const u64* kept = job.kept + (u64)query * job.wanted;
    const u64* fresh = job.fresh + (u64)query * job.room;
    u64* next = job.next + (u64)query * job.wanted;
    bool full = found > job.room;
    u32 total = held + (full ? job.room : found);
    auto keys = [=](u32 i) { return i < held ? kept[i] : fresh[i - held]; };
    u64 least = 0, mask = 0;
    u32 need = job.wanted;
    bool last = total <= job.wanted;
    for (int shift = 56; shift >= 0 && !last; shift -= 8) {
        find_digit(pass, keys, total, least, mask, shift, need);
        least |= (u64)pass->digit << shift;
        mask |= (u64)255 << shift;
        need = pass->need;
        last = pass->last;
        __syncthreads();
    }
    if (threadIdx.x == 0) pass->taken = 0;
    __syncthreads();
    for (u32 i = threadIdx.x; i < total; i += blockDim.x) {
        u64 key = keys(i);
        if (key >= least) next[atomicAdd(&pass->taken, 1u)] = key;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        job.held[query] = pass->taken;
        job.found[query] = 0;
        job.limits[query] = least;
        if (full) job.full[query] = 1;
    }
}

#if !defined(SCAN_QUERIES) && !defined(EMULATED)
extern "C" __global__ void __launch_bounds__(256) gate(const Job job) { gate_rows(job); }

extern "C" __global__ void __launch_bounds__(1024) select(const Job job) {
    __shared__ Pass pass;
    select_keys(job, &pass);
}
#endif
