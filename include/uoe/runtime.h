/* The runtime's C ABI: tensors and single operators. Plain C, no compiler needed to use it.
 *
 * Every function that can fail returns 0 on success and non-zero otherwise; uoe_last_error() then
 * tells why, for the calling thread, until its next call. Shapes are row-major, dimensions are
 * int64_t, element types are ONNX's TensorProto.DataType numbers (1 float, 7 int64, 10 float16, 16
 * bfloat16, ...). */
#ifndef UOE_RUNTIME_H
#define UOE_RUNTIME_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define UOE_SEQUENCE (-1)

/* A tensor the caller sees: `data` is contiguous. */
typedef struct {
  int32_t
      dtype; /* 0: absent optional value; UOE_SEQUENCE: `data` is an array of `rank` uoe_tensors */
  int32_t rank;
  const int64_t *shape;
  const void *data;
  size_t bytes;
} uoe_tensor;

/* One attribute of an operator; the kind says which fields count. */
typedef struct {
  const char *name;
  char kind; /* i, f, s: scalar; I, F: list; S: list of strings; t: tensor */
  int64_t count;
  const int64_t *ints;
  const float *floats;
  const char *const *strings;
  uoe_tensor tensor;
} uoe_attribute;

typedef struct uoe_result uoe_result;

/* Runs one operator on tensors in host memory and allocates its outputs. `version` is the opset of
 * `domain`. The result is to be freed with uoe_result_free. */
int uoe_op_run(const char *domain, const char *op, int version, const uoe_attribute *attributes,
               int attribute_count, const uoe_tensor *inputs, int input_count, int output_count,
               uoe_result **result);
/* Output i of a result; dtype 0 if the operator left it absent. Valid until the result is freed. */
int uoe_result_get(const uoe_result *result, int i, uoe_tensor *tensor);
void uoe_result_free(uoe_result *result);

/* 1 if there is a kernel for the operator. */
int uoe_op_known(const char *domain, const char *op);
/* Threads of the process-wide pool, the caller counted; 0 restores the number of cores. Not while
 * something runs. */
int uoe_set_threads(int threads);
const char *uoe_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
