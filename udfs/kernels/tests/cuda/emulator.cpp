// A machine for the kernels, driven through a pipe: memory, launches and products, one command at a
// time. Answers follow commands that read. `emulator.rs` is the other end.

#include "run.h"

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

static void launch() {
    unsigned kernel = take<unsigned>(), queries = take<unsigned>(), lanes = take<unsigned>();
    unsigned across = take<unsigned>(), down = take<unsigned>(), threads = take<unsigned>();
    unsigned shared = take<unsigned>();
    run((Kernel)kernel, queries, lanes, across, down, threads, shared, take<Job>());
}

static void multiply() {
    auto rows = (const uint16_t*)take<u64>(), queries = (const uint16_t*)take<u64>();
    unsigned width = take<unsigned>(), rows_count = take<unsigned>();
    unsigned queries_count = take<unsigned>();
    auto out = (float*)take<u64>();
    product(rows, queries, width, rows_count, queries_count, out, take<unsigned>());
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
