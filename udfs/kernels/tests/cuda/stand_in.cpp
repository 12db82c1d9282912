// Stands in for CUDA's driver, NVRTC and cuBLASLt under their own names: memory is the host's, code
// is the name of what would be compiled, and launches run on the emulator. It keeps to what NVIDIA
// documents of the functions that are called, and refuses what they would refuse.
//
// FAULT in the environment makes one thing fail.

#include "run.h"

#include <map>
#include <string>

static bool fault(const char* name) {
    const char* wanted = getenv("FAULT");
    return wanted && !strcmp(wanted, name);
}

// ---- libcuda ----

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
       NOT_FOUND = 500, ILLEGAL_ADDRESS = 700 };
typedef int CUresult;

static const char MAGIC[] = "code of a stand-in: ";
static int retained;
static thread_local void* current_context;
static std::map<u64, size_t> blocks;
struct Module {
    unsigned queries, lanes;
};
struct Function {
    Kernel kernel;
    Module module;
};

// Whether the bytes are within one allocation.
static bool is_ours(u64 address, size_t bytes) {
    auto after = blocks.upper_bound(address);
    if (after == blocks.begin()) return false;
    auto block = std::prev(after);
    return address + bytes <= block->first + block->second;
}

extern "C" {
CUresult cuInit(unsigned) { return fault("init") ? 999 : OK; }
CUresult cuDriverGetVersion(int* version) { return *version = 12080, OK; }
CUresult cuDeviceGetCount(int* count) { return *count = fault("no_device") ? 0 : 1, OK; }
CUresult cuDeviceGet(int* device, int) { return *device = 0, OK; }
CUresult cuDeviceGetName(char* name, int, int) { return strcpy(name, "a stand-in"), OK; }
CUresult cuDeviceGetAttribute(int* value, int attribute, int) {
    *value = attribute == 75 ? (fault("old_device") ? 7 : 9) : attribute == 76 ? 0 : 3;
    return OK;
}
CUresult cuDevicePrimaryCtxRetain(void** context, int) {
    retained++;
    return *context = &retained, OK;
}
CUresult cuDevicePrimaryCtxRelease_v2(int) { return retained-- > 0 ? OK : INVALID_CONTEXT; }
CUresult cuCtxSetCurrent(void* context) { return current_context = context, OK; }
CUresult cuCtxSynchronize() { return current_context ? OK : INVALID_CONTEXT; }
CUresult cuGetErrorString(CUresult error, const char** text) {
    *text = error == ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : "unknown error";
    return OK;
}

CUresult cuMemAlloc_v2(u64* address, size_t bytes) {
    if (!current_context) return INVALID_CONTEXT;
    if (bytes == 0) return INVALID_VALUE;
    if (fault("memory")) return OUT_OF_MEMORY;
    void* memory = nullptr;
    if (posix_memalign(&memory, 256, bytes)) return OUT_OF_MEMORY;
    memset(memory, 0xff, bytes);
    *address = (u64)memory;
    blocks[*address] = bytes;
    return OK;
}
CUresult cuMemFree_v2(u64 address) {
    if (!blocks.erase(address)) return INVALID_VALUE;
    free((void*)address);
    return OK;
}
CUresult cuMemcpyHtoD_v2(u64 to, const void* from, size_t bytes) {
    if (!current_context) return INVALID_CONTEXT;
    if (!is_ours(to, bytes)) return INVALID_VALUE;
    memcpy((void*)to, from, bytes);
    return OK;
}
CUresult cuMemcpyDtoH_v2(void* to, u64 from, size_t bytes) {
    if (fault("illegal")) return ILLEGAL_ADDRESS;
    if (!current_context) return INVALID_CONTEXT;
    if (!is_ours(from, bytes)) return INVALID_VALUE;
    memcpy(to, (const void*)from, bytes);
    return OK;
}
CUresult cuMemsetD8_v2(u64 to, unsigned char value, size_t bytes) {
    if (!is_ours(to, bytes)) return INVALID_VALUE;
    memset((void*)to, value, bytes);
    return OK;
}

CUresult cuModuleLoadData(Module** module, const void* image) {
    if (!current_context) return INVALID_CONTEXT;
    if (memcmp(image, MAGIC, strlen(MAGIC))) return INVALID_IMAGE;
    *module = new Module{};
    sscanf((const char*)image + strlen(MAGIC), "%u %u", &(*module)->queries, &(*module)->lanes);
    return OK;
}
CUresult cuModuleUnload(Module* module) { return delete module, OK; }
CUresult cuModuleGetFunction(Function** function, Module* module, const char* name) {
    std::string wanted = name;
    Kernel kernel = wanted == "scan" ? SCAN : wanted == "gate" ? GATE : SELECT;
    if ((kernel == SCAN) != (module->queries > 0)) return NOT_FOUND;
    *function = new Function{kernel, *module};
    return OK;
}
CUresult cuLaunchKernel(Function* function, unsigned x, unsigned y, unsigned z, unsigned threads,
                        unsigned threads_y, unsigned threads_z, unsigned shared, void* stream,
                        void** parameters, void** extra) {
    if (!current_context) return INVALID_CONTEXT;
    if (!x || !y || z != 1 || threads_y != 1 || threads_z != 1 || y > 65535) return INVALID_VALUE;
    if (!threads || threads > 1024 || shared > 48 * 1024 || stream || extra) return INVALID_VALUE;
    Job job;
    memcpy(&job, parameters[0], sizeof job);
    Module of = function->module;
    run(function->kernel, of.queries, of.lanes, x, y, threads, shared, job);
    return OK;
}

// ---- libnvrtc ----

struct Program {
    std::string code, log;
};

int nvrtcVersion(int* major, int* minor) { return *major = 12, *minor = 8, 0; }
int nvrtcCreateProgram(Program** program, const char* source, const char*, int headers,
                       const char* const*, const char* const*) {
    if (!strstr(source, "scan_rows") || !strstr(source, "select_keys") || headers) return 3;
    *program = new Program;
    return 0;
}
int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
    unsigned queries = 0, lanes = 0;
    bool of_device = false;
    for (int i = 0; i < count; i++) {
        sscanf(options[i], "-DSCAN_QUERIES=%u", &queries);
        sscanf(options[i], "-DSCAN_LANES=%u", &lanes);
        of_device |= !strcmp(options[i], "--gpu-architecture=sm_90");
    }
    if (!of_device || fault("compile")) {
        program->log = "sextant.cu(1): note\nsextant.cu(2): error: it is asked to\n";
        return 6;
    }
    fprintf(stderr, "NVRTC compiles %u %u\n", queries, lanes);
    program->code = MAGIC + std::to_string(queries) + " " + std::to_string(lanes) + "\n";
    return 0;
}
int nvrtcDestroyProgram(Program** program) { return delete *program, *program = nullptr, 0; }
int nvrtcGetCUBINSize(Program* program, size_t* size) { return *size = program->code.size() + 1, 0; }
int nvrtcGetCUBIN(Program* program, char* code) { return strcpy(code, program->code.c_str()), 0; }
int nvrtcGetProgramLogSize(Program* program, size_t* size) {
    return *size = program->log.size() + 1, 0;
}
int nvrtcGetProgramLog(Program* program, char* log) { return strcpy(log, program->log.c_str()), 0; }

// ---- libcublasLt ----

// 2 is CUDA_R_16F, 0 is CUDA_R_32F, 68 is CUBLAS_COMPUTE_32F.
struct Layout {
    int type;
    u64 rows, columns;
    int64_t stride;
};
struct Description {
    int compute, scale;
    int transposed_a;
};

int cublasLtCreate(void** handle) { return *handle = malloc(1), 0; }
int cublasLtDestroy(void* handle) { return free(handle), 0; }
int cublasLtMatmulDescCreate(Description** description, int compute, int scale) {
    return *description = new Description{compute, scale, 0}, 0;
}
int cublasLtMatmulDescDestroy(Description* description) { return delete description, 0; }
int cublasLtMatmulDescSetAttribute(Description* description, int which, const void* value,
                                   size_t bytes) {
    if (which != 3 || bytes != 4) return 7;
    memcpy(&description->transposed_a, value, 4);
    return 0;
}
int cublasLtMatrixLayoutCreate(Layout** layout, int type, u64 rows, u64 columns, int64_t stride) {
    if (stride < (int64_t)rows) return 7;
    return *layout = new Layout{type, rows, columns, stride}, 0;
}
int cublasLtMatrixLayoutDestroy(Layout* layout) { return delete layout, 0; }
int cublasLtMatmulPreferenceCreate(void** preference) { return *preference = malloc(1), 0; }
int cublasLtMatmulPreferenceDestroy(void* preference) { return free(preference), 0; }
int cublasLtMatmulPreferenceSetAttribute(void*, int which, const void* value, size_t bytes) {
    return which == 1 && bytes == 8 && *(const u64*)value > 0 ? 0 : 7;
}

static bool fits(Description* description, Layout* a, Layout* b, Layout* c, Layout* d) {
    bool types = a->type == 2 && b->type == 2 && c->type == 0 && d->type == 0;
    types = types && description->compute == 68 && description->scale == 0;
    bool shapes = a->rows == b->rows && d->rows == a->columns && d->columns == b->columns;
    return types && shapes && description->transposed_a == 1;
}

// Of a result, documented: an algorithm of 64 bytes, workspace, status, waves, 4 numbers.
int cublasLtMatmulAlgoGetHeuristic(void*, Description* description, Layout* a, Layout* b, Layout* c,
                                   Layout* d, void*, int wanted, void* results, int* found) {
    if (wanted != 1 || !fits(description, a, b, c, d)) return 15;
    memset(results, 0, 64 + 8 + 4 + 4 + 16);
    memset(results, 0x5a, 64);
    return *found = 1, 0;
}
int cublasLtMatmul(void*, Description* description, const float* alpha, const uint16_t* a,
                   Layout* of_a, const uint16_t* b, Layout* of_b, const float* beta, const float*,
                   Layout* of_c, float* d, Layout* of_d, const unsigned char* algorithm,
                   void* workspace, size_t bytes, void* stream) {
    if (!fits(description, of_a, of_b, of_c, of_d) || algorithm[63] != 0x5a) return 7;
    if (*alpha != 1 || *beta != 0 || stream || !is_ours((u64)workspace, bytes)) return 7;
    if (of_a->stride != (int64_t)of_a->rows || of_b->stride != (int64_t)of_b->rows) return 7;
    if (!is_ours((u64)a, of_a->stride * of_a->columns * 2)) return 7;
    if (!is_ours((u64)b, of_b->stride * of_b->columns * 2)) return 7;
    if (!is_ours((u64)d, (of_d->stride * (of_d->columns - 1) + of_d->rows) * 4)) return 7;
    fprintf(stderr, "cuBLASLt multiplies\n");
    product(a, b, of_a->rows, of_a->columns, of_b->columns, d, of_d->stride);
    return 0;
}
}
