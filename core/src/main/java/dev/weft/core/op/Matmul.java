package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The matrix product: {@code [..., m, k]} by {@code [k, n]}, or by {@code [..., k, n]} with the
 * same leading dims.
 */
public record Matmul() implements Primitive {
  static final OpEntry ENTRY =
      OpEntry.of(
          Matmul.class,
          Example.of(new Matmul(), Example.f32(3, 4), Example.f32(4, 5)),
          Example.of(new Matmul(), Example.f32(2, 3, 4), Example.f32(4, 5)),
          Example.of(new Matmul(), Example.f32(2, 3, 4), Example.f32(2, 4, 5)),
          Example.of(new Matmul(), Example.f32(2, 2, 3, 4), Example.f32(2, 2, 4, 2)));

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    TensorType a = inputs.get(0);
    TensorType b = inputs.get(1);
    Check.require(a.dtype() == b.dtype(), this, inputs, "both arguments must have one data type");
    Check.dtype(this, inputs, 0, d -> d.isFloat() || d.isInteger(), "numbers");
    Check.require(
        a.rank() >= 2 && (b.rank() == 2 || b.rank() == a.rank()),
        this,
        inputs,
        "expected [..., m, k] by [k, n], or by [..., k, n] of the same rank");
    if (b.rank() > 2) {
      Check.require(
          a.shape().slice(0, a.rank() - 2).equals(b.shape().slice(0, b.rank() - 2)),
          this,
          inputs,
          "the leading dims must be equal");
    }
    Check.require(
        a.size(-1) == b.size(-2),
        this,
        inputs,
        "the last dim of argument 0, "
            + a.size(-1)
            + ", must equal the last but one of argument 1, "
            + b.size(-2));
    return List.of(a.with(a.shape().with(-1, b.size(-1))));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    int rank = inputs.get(0).rank();
    var left = new ArrayList<>(Factors.named("b", rank - 2));
    var right =
        inputs.get(1).rank() == 2
            ? new ArrayList<List<String>>()
            : new ArrayList<>(Factors.named("b", rank - 2));
    var result = new ArrayList<>(left);
    left.addAll(List.of(List.of("m"), List.of("k")));
    right.addAll(List.of(List.of("k"), List.of("n")));
    result.addAll(List.of(List.of("m"), List.of("n")));
    return new Factors(List.of(left, right), List.of(result), Map.of());
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    List<TensorType> outputs = infer(inputs);
    return Cost.streaming(
        2.0 * outputs.getFirst().elements() * inputs.getFirst().size(-1), inputs, outputs);
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of(call(inputs, "mm_out", "bmm_out", "", "")));
  }

  @Override
  public Optional<Kernel> accumulate(DeviceKind kind, List<TensorType> inputs) {
    return Optional.of(Kernel.of(call(inputs, "addmm_out", "baddbmm_out", ", BASE", ", 1.0, 1.0")));
  }

  /** All leading dims as rows where the right side is one matrix, else as one batch dim. */
  private String call(
      List<TensorType> inputs, String flat, String batched, String base, String scales) {
    Shape a = inputs.get(0).shape();
    Shape b = inputs.get(1).shape();
    Shape y = infer(inputs).getFirst().shape();
    if (b.rank() == 2) {
      String rows = base.replace("BASE", flatten("b", y, 1));
      return "shim::%s(%s%s, %s, x1%s)"
          .formatted(flat, flatten("y0", y, 1), rows, flatten("x0", a, 1), scales);
    }
    String batch = base.replace("BASE", flatten("b", y, 2));
    return "shim::%s(%s%s, %s, %s%s)"
        .formatted(
            batched, flatten("y0", y, 2), batch, flatten("x0", a, 2), flatten("x1", b, 2), scales);
  }

  /** A tensor with its leading dims flattened to one, the last {@code kept} dims as they are. */
  private static String flatten(String tensor, Shape shape, int kept) {
    if (shape.rank() == kept + 1) {
      return tensor;
    }
    long[] sizes = new long[kept + 1];
    sizes[0] = shape.product(0, shape.rank() - kept);
    for (int i = 0; i < kept; i++) {
      sizes[1 + i] = shape.size(shape.rank() - kept + i);
    }
    return "view(" + tensor + ", " + Arrays.toString(sizes).replace(" ", "") + ")";
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor a = adjoint.input(0);
    Tensor b = adjoint.input(1);
    Tensor dy = adjoint.cotangent();
    Tensor da = dy.matmul(b.transposed());
    if (b.rank() == 2 && a.rank() > 2) {
      long rows = a.shape().product(0, a.rank() - 1);
      Tensor flatA = a.reshape(rows, a.size(-1));
      Tensor flatDy = dy.reshape(rows, dy.size(-1));
      return List.of(da, flatA.transposed().matmul(flatDy));
    }
    return List.of(da, a.transposed().matmul(dy));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    Literal a = inputs.get(0);
    Literal b = inputs.get(1);
    TensorType type = infer(List.of(a.type(), b.type())).getFirst();
    int m = (int) type.size(-2);
    int n = (int) type.size(-1);
    int k = (int) a.type().size(-1);
    int batches = (int) type.shape().product(0, type.rank() - 2);
    boolean shared = b.type().rank() == 2;
    if (!type.dtype().isFloat()) {
      long[] y = new long[Math.toIntExact(type.elements())];
      for (int p = 0; p < batches; p++) {
        for (int i = 0; i < m; i++) {
          for (int j = 0; j < n; j++) {
            long sum = 0;
            for (int c = 0; c < k; c++) {
              sum += a.longs()[(p * m + i) * k + c] * b.longs()[((shared ? 0 : p) * k + c) * n + j];
            }
            y[(p * m + i) * n + j] =
                type.dtype() == dev.weft.core.graph.DataType.I32 ? (int) sum : sum;
          }
        }
      }
      return List.of(Literal.of(type, y));
    }
    double[] x = a.doubles();
    double[] w = b.doubles();
    double[] y = new double[Math.toIntExact(type.elements())];
    for (int p = 0; p < batches; p++) {
      for (int i = 0; i < m; i++) {
        for (int c = 0; c < k; c++) {
          double factor = x[(p * m + i) * k + c];
          int right = ((shared ? 0 : p) * k + c) * n;
          int out = (p * m + i) * n;
          for (int j = 0; j < n; j++) {
            y[out + j] += factor * w[right + j];
          }
        }
      }
    }
    return List.of(Literal.of(type, y));
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0), List.of(1));
  }
}
