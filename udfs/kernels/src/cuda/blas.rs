//! Products of half floats by cuBLASLt.
//!
//! Rows and queries are row-major, which cuBLASLt reads as column-major matrices of `width` rows;
//! the first is transposed, and the product comes out query by query.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::from_ref;

use cudarc::cublaslt::{result, sys};
use cudarc::driver::result as driver;

use super::machine::{Product, Unavailable};

/// What is called.
const SYMBOLS: [&str; 12] = [
    "cublasLtCreate",
    "cublasLtDestroy",
    "cublasLtMatmul",
    "cublasLtMatmulAlgoGetHeuristic",
    "cublasLtMatmulDescCreate",
    "cublasLtMatmulDescDestroy",
    "cublasLtMatmulDescSetAttribute",
    "cublasLtMatmulPreferenceCreate",
    "cublasLtMatmulPreferenceDestroy",
    "cublasLtMatmulPreferenceSetAttribute",
    "cublasLtMatrixLayoutCreate",
    "cublasLtMatrixLayoutDestroy",
];

/// Memory that a product may use.
const WORKSPACE: usize = 32 << 20;
/// Shapes whose plans are kept.
const MOST_PLANS: usize = 64;

/// The library, ready to use.
pub struct Blas {
    handle: sys::cublasLtHandle_t,
    workspace: u64,
    plans: HashMap<[u32; 4], Plan>,
}

fn failed(error: result::CublasError) -> Unavailable {
    Unavailable::new(format!("cuBLASLt failed: {:?}", error.0))
}

impl Blas {
    /// In the context that is current.
    pub fn open() -> Result<Self, Unavailable> {
        // SAFETY: opens the library by its usual names, which runs only its own start.
        if !unsafe { sys::is_culib_present() } {
            return Err(Unavailable::new("no cuBLASLt was found"));
        }
        for name in SYMBOLS {
            // SAFETY: the symbol is looked up, not called.
            if unsafe { sys::culib().get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_err() {
                return Err(Unavailable::new(format!("cuBLASLt has no {name}")));
            }
        }
        let handle = result::create_handle().map_err(failed)?;
        let mut opened = Self { handle, workspace: 0, plans: HashMap::new() };
        // SAFETY: no memory of ours is named.
        let workspace = unsafe { driver::malloc_sync(WORKSPACE) };
        opened.workspace = workspace.map_err(|_| Unavailable::out_of_memory(WORKSPACE))?;
        Ok(opened)
    }

    /// Errors as `Machine::multiply`.
    pub fn multiply(&mut self, product: &Product) -> Result<(), Unavailable> {
        let shape = [product.width, product.rows_count, product.queries_count, product.stride];
        if !self.plans.contains_key(&shape) {
            if self.plans.len() >= MOST_PLANS {
                self.plans.clear();
            }
            self.plans.insert(shape, Plan::new(self.handle, product)?);
        }
        let Some(plan) = self.plans.get(&shape) else {
            return Err(Unavailable::new("a product has no plan"));
        };
        let (one, zero) = (1.0f32, 0.0f32);
        let algorithm = plan.algorithm.ok_or_else(|| Unavailable::new("a product has no plan"))?;
        // SAFETY: the plan's layouts are those of the product's memory, which the caller holds; the
        // scalars are read before it returns; the workspace is as long as is said.
        let multiplied = unsafe {
            result::matmul(
                self.handle,
                plan.product,
                from_ref(&one).cast(),
                from_ref(&zero).cast(),
                product.rows as *const c_void,
                plan.rows,
                product.queries as *const c_void,
                plan.queries,
                product.out as *const c_void,
                plan.out,
                product.out as *mut c_void,
                plan.out,
                &raw const algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                std::ptr::null_mut(),
            )
        };
        multiplied.map_err(failed)
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        self.plans.clear();
        if self.workspace != 0 {
            // SAFETY: allocated in `open`, freed once; the driver waits for what uses it.
            let _ = unsafe { driver::free_sync(self.workspace) };
        }
        // SAFETY: made in `open`, destroyed once.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// How products of a shape are made. Descriptions are null until they are made.
struct Plan {
    product: sys::cublasLtMatmulDesc_t,
    rows: sys::cublasLtMatrixLayout_t,
    queries: sys::cublasLtMatrixLayout_t,
    out: sys::cublasLtMatrixLayout_t,
    preference: sys::cublasLtMatmulPreference_t,
    algorithm: Option<sys::cublasLtMatmulAlgo_t>,
}

impl Plan {
    fn new(handle: sys::cublasLtHandle_t, of: &Product) -> Result<Self, Unavailable> {
        use sys::cudaDataType_t::{CUDA_R_16F, CUDA_R_32F};
        let null = std::ptr::null_mut();
        let mut plan = Self {
            product: null,
            rows: std::ptr::null_mut(),
            queries: std::ptr::null_mut(),
            out: std::ptr::null_mut(),
            preference: std::ptr::null_mut(),
            algorithm: None,
        };
        let sums = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        plan.product = result::create_matmul_desc(sums, CUDA_R_32F).map_err(failed)?;
        let (width, rows, queries) =
            (u64::from(of.width), u64::from(of.rows_count), u64::from(of.queries_count));
        let layout = |kind, rows, columns, stride: u32| {
            result::create_matrix_layout(kind, rows, columns, i64::from(stride)).map_err(failed)
        };
        plan.rows = layout(CUDA_R_16F, width, rows, of.width)?;
        plan.queries = layout(CUDA_R_16F, width, queries, of.width)?;
        plan.out = layout(CUDA_R_32F, rows, queries, of.stride)?;
        plan.preference = result::create_matmul_pref().map_err(failed)?;
        // CUBLAS_OP_T, for which there is no name here.
        let transposed = 1i32;
        let which = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA;
        let (value, size) = (from_ref(&transposed).cast(), size_of_val(&transposed));
        // SAFETY: the description is alive, the value is read before it returns.
        let set = unsafe { result::set_matmul_desc_attribute(plan.product, which, value, size) };
        set.map_err(failed)?;
        let most =
            sys::cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        let (value, size) = (from_ref(&WORKSPACE).cast(), size_of_val(&WORKSPACE));
        // SAFETY: as above.
        let set = unsafe { result::set_matmul_pref_attribute(plan.preference, most, value, size) };
        set.map_err(failed)?;
        // SAFETY: all descriptions are alive.
        let found = unsafe {
            result::get_matmul_algo_heuristic(
                handle,
                plan.product,
                plan.rows,
                plan.queries,
                plan.out,
                plan.out,
                plan.preference,
            )
        };
        plan.algorithm = Some(found.map_err(failed)?.algo);
        Ok(plan)
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        for layout in [self.rows, self.queries, self.out] {
            if !layout.is_null() {
                // SAFETY: made in `new`, destroyed once.
                let _ = unsafe { result::destroy_matrix_layout(layout) };
            }
        }
        if !self.preference.is_null() {
            // SAFETY: as above.
            let _ = unsafe { result::destroy_matmul_pref(self.preference) };
        }
        if !self.product.is_null() {
            // SAFETY: as above.
            let _ = unsafe { result::destroy_matmul_desc(self.product) };
        }
    }
}
