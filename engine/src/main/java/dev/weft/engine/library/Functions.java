package dev.weft.engine.library;

import java.lang.invoke.MethodHandle;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The functions of libtorch that Weft calls by name. A record, so that the handles are constants.
 */
record Functions(
    @Function("uint64_t aoti_torch_abi_version(void)") MethodHandle abiVersion,

    // Codes of types and devices.
    @Function("int32_t aoti_torch_dtype_float32(void)") MethodHandle codeF32,
    @Function("int32_t aoti_torch_dtype_bfloat16(void)") MethodHandle codeBf16,
    @Function("int32_t aoti_torch_dtype_float16(void)") MethodHandle codeF16,
    @Function("int32_t aoti_torch_dtype_float64(void)") MethodHandle codeF64,
    @Function("int32_t aoti_torch_dtype_int32(void)") MethodHandle codeI32,
    @Function("int32_t aoti_torch_dtype_int64(void)") MethodHandle codeI64,
    @Function("int32_t aoti_torch_dtype_bool(void)") MethodHandle codeBool,
    @Function("int32_t aoti_torch_device_type_cpu(void)") MethodHandle deviceCpu,
    @Function("int32_t aoti_torch_device_type_cuda(void)") MethodHandle deviceCuda,

    // Tensor handles.
    @Function(
            value = "int32_t aoti_torch_new_tensor_handle(Tensor original, Tensor* result)",
            brief = true)
        MethodHandle newTensorHandle,
    @Function("int32_t aoti_torch_delete_tensor_object(Tensor tensor)") MethodHandle deleteTensor,
    @Function(
            "int32_t aoti_torch_create_tensor_from_blob(void* data, int64_t ndim, int64_t* sizes,"
                + " int64_t* strides, int64_t storage_offset, int32_t dtype, int32_t device_type,"
                + " int32_t device_index, Tensor* result)")
        MethodHandle tensorFromBlob,
    @Function("int32_t aoti_torch_get_data_ptr(Tensor tensor, void** result)")
        MethodHandle dataPointer,
    @Function("int32_t aoti_torch_get_storage_size(Tensor tensor, int64_t* result)")
        MethodHandle storageSize,
    @Function("int32_t aoti_torch_get_dim(Tensor tensor, int64_t* result)") MethodHandle dim,
    @Function("int32_t aoti_torch_get_sizes(Tensor tensor, int64_t** result)") MethodHandle sizes,
    @Function("int32_t aoti_torch_get_strides(Tensor tensor, int64_t** result)")
        MethodHandle strides,
    @Function("int32_t aoti_torch_get_dtype(Tensor tensor, int32_t* result)") MethodHandle dtype,
    @Function("int32_t aoti_torch_is_defined(Tensor tensor, bool* result)") MethodHandle isDefined,

    // Values on the way to and from the dispatcher.
    @Function(
            "int32_t torch_call_dispatcher(char* name, char* overload, uint64_t* stack, uint64_t"
                + " version)")
        MethodHandle callDispatcher,
    @Function(
            value = "int32_t torch_new_stable_ivalue(uint64_t** result)",
            optional = true,
            brief = true)
        @Nullable MethodHandle newOptional,
    @Function(
            value = "int32_t torch_delete_stable_ivalue(uint64_t* value)",
            optional = true,
            brief = true)
        @Nullable MethodHandle deleteOptional,
    @Function(
            value = "int32_t torch_new_list_reserve_size(size_t size, List* result)",
            brief = true)
        MethodHandle newList,
    @Function(value = "int32_t torch_list_push_back(List list, uint64_t element)", brief = true)
        MethodHandle listAdd,
    @Function(
            value = "int32_t torch_list_get_item(List list, size_t index, uint64_t* element)",
            brief = true)
        MethodHandle listGet,
    @Function(value = "int32_t torch_delete_list(List list)", brief = true) MethodHandle deleteList,
    @Function(
            value = "int32_t torch_new_string_handle(char* data, size_t length, String* result)",
            brief = true)
        MethodHandle newString,
    @Function(value = "int32_t torch_delete_string(String string)", brief = true)
        MethodHandle deleteString,

    // State of a thread.
    @Function(value = "char* torch_exception_get_what_without_backtrace(void)", optional = true)
        @Nullable MethodHandle exceptionMessage,
    @Function("void aoti_torch_grad_mode_set_enabled(bool enabled)") MethodHandle setGradMode,
    @Function("bool aoti_torch_grad_mode_is_enabled(void)") MethodHandle gradMode,
    @Function("int32_t torch_get_num_threads(uint32_t* result)") MethodHandle threads,
    @Function(value = "void omp_set_num_threads(int count)", optional = true)
        @Nullable MethodHandle setOpenMpThreads,
    @Function(value = "void openblas_set_num_threads(int count)", optional = true)
        @Nullable MethodHandle setBlasThreads,
    @Function(value = "char* openblas_get_config(void)", optional = true)
        @Nullable MethodHandle openBlasVersion,
    @Function(value = "void MKL_Get_Version_String(char* text, int length)", optional = true)
        @Nullable MethodHandle mklVersion) {

  /** Links every function; the canonical constructor gets them in the order of the components. */
  static Functions link(Library library) {
    Object[] handles =
        Arrays.stream(Functions.class.getRecordComponents())
            .map(component -> link(library, component))
            .toArray();
    Class<?>[] types = new Class<?>[handles.length];
    Arrays.fill(types, MethodHandle.class);
    try {
      return Functions.class.getDeclaredConstructor(types).newInstance(handles);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  private static @Nullable MethodHandle link(Library library, RecordComponent component) {
    Function function = Objects.requireNonNull(component.getAnnotation(Function.class));
    Prototype prototype = Prototype.parse(function.value());
    return function.optional()
        ? library.link(prototype, function.brief()).orElse(null)
        : library.linkRequired(prototype, function.brief());
  }
}
