// The words of CUDA C++ that the kernels use, for a compiler for the host.
//
// The threads of a block are fibers that take turns on one stack each: a fiber runs until it waits
// for others, at a barrier or at a shuffle. Blocks run one after the other, so the order in which
// atomic operations happen is only one of those that a device may choose; results must not depend
// on it. AddressSanitizer sees every load and store of the kernels.

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <vector>

#define EMULATED
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define SHARED(type, name) type* name = (type*)emulated.shared.data()
#define SHUFFLE(value, mask) emulated.shuffle(value, mask)
#define __syncthreads() emulated.barrier()

using std::min;

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct dim3 {
    unsigned x, y, z;
};
static uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static dim3 threadIdx, blockIdx, blockDim, gridDim;

// A block that runs.
struct Emulated {
    static constexpr size_t STACK = 64 * 1024;
    struct Fiber {
        ucontext_t context;
        std::vector<char> stack;
        bool done;
        // What it shuffles, of two turns, so that nobody overwrites what is unread; and how many
        // shuffles it has begun.
        uint32_t given[2];
        unsigned turn;
    };
    std::vector<Fiber> fibers;
    std::vector<float4> shared;
    std::function<void()> kernel;
    ucontext_t scheduler;
    unsigned current = 0, waiting = 0, passed = 0;

    void yield() {
        unsigned self = current;
        swapcontext(&fibers[self].context, &scheduler);
        threadIdx.x = current = self;
    }
    // All threads of the block come here before one goes on.
    void barrier() {
        unsigned generation = passed;
        if (++waiting == fibers.size()) {
            waiting = 0;
            passed++;
        }
        while (passed == generation) yield();
    }
    // All lanes of the warp do this together.
    template <class T>
    T shuffle(T value, unsigned mask) {
        static_assert(sizeof(T) == 4);
        Fiber& self = fibers[current];
        unsigned turn = ++self.turn, first = current / 32 * 32;
        memcpy(&self.given[turn % 2], &value, 4);
        for (unsigned lane = first; lane < first + 32; lane++) {
            while (fibers[lane].turn < turn) {
                if (fibers[lane].done) {
                    fprintf(stderr, "a lane shuffles with one that has left\n");
                    abort();
                }
                yield();
            }
        }
        memcpy(&value, &fibers[current ^ mask].given[turn % 2], 4);
        return value;
    }
    void run(unsigned blocks_x, unsigned blocks_y, unsigned threads, unsigned bytes,
             std::function<void()> body);
};
static Emulated emulated;

static void start_fiber() {
    emulated.kernel();
    emulated.fibers[emulated.current].done = true;
    while (true) swapcontext(&emulated.fibers[emulated.current].context, &emulated.scheduler);
}

inline void Emulated::run(unsigned blocks_x, unsigned blocks_y, unsigned threads, unsigned bytes,
                          std::function<void()> body) {
    kernel = body;
    gridDim = {blocks_x, blocks_y, 1};
    blockDim = {threads, 1, 1};
    fibers.resize(threads);
    for (unsigned y = 0; y < blocks_y; y++) {
        for (unsigned x = 0; x < blocks_x; x++) {
            blockIdx = {x, y, 0};
            // Of exactly the size that was asked for, and of no value that means something.
            shared.assign(bytes / sizeof(float4), float4{NAN, NAN, NAN, NAN});
            shared.shrink_to_fit();
            waiting = passed = 0;
            for (Fiber& fiber : fibers) {
                fiber.stack.resize(STACK);
                fiber.done = false;
                fiber.turn = 0;
                getcontext(&fiber.context);
                fiber.context.uc_stack.ss_sp = fiber.stack.data();
                fiber.context.uc_stack.ss_size = STACK;
                fiber.context.uc_link = nullptr;
                makecontext(&fiber.context, start_fiber, 0);
            }
            for (bool running = true; running;) {
                running = false;
                for (unsigned i = 0; i < threads; i++) {
                    if (fibers[i].done) continue;
                    running = true;
                    current = threadIdx.x = i;
                    swapcontext(&scheduler, &fibers[i].context);
                }
            }
        }
    }
}

static unsigned atomicAdd(unsigned* at, unsigned more) {
    unsigned before = *at;
    *at += more;
    return before;
}
static unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}
static float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static uint4 load16(const uint4* from) { return *from; }

// The value of a half float, by the definition in IEEE 754.
static float half_value(unsigned bits) {
    unsigned exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value = exponent == 0    ? ldexpf(fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : ldexpf(1024 + fraction, (int)exponent - 25);
    return bits & 0x8000 ? -value : value;
}
static void widen(unsigned pair, float& low, float& high) {
    low = half_value(pair & 0xffff);
    high = half_value(pair >> 16);
}
