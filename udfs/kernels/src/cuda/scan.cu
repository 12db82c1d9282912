// Few queries: one pass over the rows, each of which is read once for all of them.
//
//   a warp:  32 / LANES rows side by side, LANES lanes a row, 16 bytes a lane and step;
//            ROWS such sets at once, so that as many loads are under way
//   folding: lanes swap halves of their sums, so that log2(LANES) steps leave each lane with
//            the totals of its own rows and queries

// Leaves in `sums` the totals that are this lane's: numbers `start` and following. What is a
// single number stays with the one lane that is its `owner`.
template <int COUNT, int OFFSET>
static __device__ __forceinline__ void fold(float* sums, u32 lane, u32& start, bool& owner) {
    if constexpr (OFFSET > 0) {
        bool upper = lane & OFFSET;
        if constexpr (COUNT > 1) {
            constexpr int HALF = COUNT / 2;
#pragma unroll
            for (int i = 0; i < HALF; i++) {
                float given = upper ? sums[i] : sums[i + HALF];
                float own = upper ? sums[i + HALF] : sums[i];
                sums[i] = own + SHUFFLE(given, OFFSET);
            }
            start += upper ? HALF : 0;
            fold<HALF, OFFSET / 2>(sums, lane, start, owner);
        } else {
            sums[0] += SHUFFLE(sums[0], OFFSET);
            owner = owner && !upper;
            fold<1, OFFSET / 2>(sums, lane, start, owner);
        }
    }
}

// Queries in shared memory, the first four of each unit before the last four: lanes that read
// side by side then meet no bank twice.
template <int QUERIES>
static __device__ __forceinline__ void place_queries(const Job& job, float4* shared) {
    const float4* from = (const float4*)job.queries;
    for (u32 i = threadIdx.x; i < QUERIES * job.units * 2; i += blockDim.x) {
        u32 query = i / (2 * job.units), rest = i % (2 * job.units);
        float4 x = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (query < job.queries_count) x = from[i];
        shared[(query * 2 + rest % 2) * job.units + rest / 2] = x;
    }
    __syncthreads();
}

template <int QUERIES, int LANES>
static __device__ __forceinline__ void scan_rows(const Job& job, const float4* shared) {
    constexpr int ROWS = QUERIES > 4 ? 4 : 8, GROUPS = 32 / LANES, SUMS = ROWS * QUERIES;
    u32 lane = threadIdx.x % 32, group = lane / LANES, units = job.units;
    u32 warp = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    u32 step = gridDim.x * (blockDim.x / 32) * ROWS * GROUPS;
    for (u32 base = job.first + warp * ROWS * GROUPS; base < job.end; base += step) {
        float sums[SUMS] = {};
        bool seen[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            u32 row = base + r * GROUPS + group;
            seen[r] = row < job.end && is_visible(job, row);
        }
        for (u32 unit = lane % LANES; unit < units; unit += LANES) {
            uint4 loaded[ROWS];
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                u32 row = base + r * GROUPS + group;
                loaded[r] = make_uint4(0, 0, 0, 0);
                if (seen[r]) loaded[r] = load16(job.rows + (u64)row * units + unit);
            }
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                float x[8];
                widen(loaded[r].x, x[0], x[1]);
                widen(loaded[r].y, x[2], x[3]);
                widen(loaded[r].z, x[4], x[5]);
                widen(loaded[r].w, x[6], x[7]);
#pragma unroll
                for (int q = 0; q < QUERIES; q++) {
                    float4 a = shared[q * 2 * units + unit];
                    float4 b = shared[(q * 2 + 1) * units + unit];
                    float sum = sums[r * QUERIES + q];
                    sum += x[0] * a.x + x[1] * a.y + x[2] * a.z + x[3] * a.w;
                    sum += x[4] * b.x + x[5] * b.y + x[6] * b.z + x[7] * b.w;
                    sums[r * QUERIES + q] = sum;
                }
            }
        }
        u32 start = 0;
        bool owner = true;
        fold<SUMS, LANES / 2>(sums, lane, start, owner);
#pragma unroll
        for (int i = 0; i < (SUMS > LANES ? SUMS / LANES : 1); i++) {
            u32 query = (start + i) % QUERIES;
            u32 row = base + (start + i) / QUERIES * GROUPS + group;
            if (!owner || query >= job.queries_count || row >= job.end) continue;
            if (is_visible(job, row)) offer(job, query, row, job.sizes[row], sums[i]);
        }
    }
}

#ifdef SCAN_QUERIES
extern "C" __global__ void __launch_bounds__(128, 4) scan(const Job job) {
    SHARED(float4, shared);
    place_queries<SCAN_QUERIES>(job, shared);
    scan_rows<SCAN_QUERIES, SCAN_LANES>(job, shared);
}
#endif
