package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.TensorType;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The sum of two tensors, element by element. */
public record Add() implements BinaryOp {
  static final OpEntry ENTRY =
      OpEntry.of(Add.class, Example.of(new Add(), Example.f32(3, 4), Example.f32(3, 4)));

  @Override
  public double apply(double a, double b) {
    return a + b;
  }

  @Override
  public long apply(long a, long b) {
    return a + b;
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    return List.of(Kernel.of("weft::add(y0, x0, x1)").sharing(0, 0).sharing(0, 1));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    return List.of(adjoint.cotangent(), adjoint.cotangent());
  }

  @Override
  public List<List<Integer>> linear(List<TensorType> inputs) {
    return List.of(List.of(0, 1));
  }
}
