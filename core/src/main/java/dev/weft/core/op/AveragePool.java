package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The mean under each step of a window that slides along the last dims of x. Padding counts as
 * zeros: every sum is divided by the number of taps.
 *
 * @param sizes the taps of the window, per dim that it slides along
 * @param strides the distance between neighbouring steps
 * @param low how many zeros stand before each dim
 * @param high how many behind
 */
public record AveragePool(List<Long> sizes, List<Long> strides, List<Long> low, List<Long> high)
    implements Composite, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          AveragePool.class,
          Example.of(of(2, 2, 2, 0), Example.f32(2, 3, 4, 6)),
          Example.of(of(2, 3, 2, 1), Example.f32(1, 2, 7, 5)),
          Example.of(
              new AveragePool(List.of(2L, 3L), List.of(1L, 2L), List.of(1L, 0L), List.of(0L, 2L)),
              Example.f32(2, 5, 6)));

  public AveragePool {
    sizes = List.copyOf(sizes);
    strides = List.copyOf(strides);
    low = List.copyOf(low);
    high = List.copyOf(high);
  }

  /** One size, stride, and padding on both sides, for all dims. */
  public static AveragePool of(int dims, long size, long stride, long padding) {
    List<Long> around = Pooling.all(dims, padding);
    return new AveragePool(Pooling.all(dims, size), Pooling.all(dims, stride), around, around);
  }

  private Pooling pooling() {
    return new Pooling(sizes, strides, low, Pooling.all(sizes.size(), 1));
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    pooling().check(this, inputs);
    Check.require(high.size() == low.size(), this, inputs, "low and high must name the same dims");
    TensorType x = inputs.getFirst();
    return List.of(x.with(pooling().steps(x.shape(), high)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return pooling().factors(1, 1, inputs.getFirst().rank());
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    Shape x = inputs.getFirst().shape();
    Shape steps = infer(inputs).getFirst().shape();
    return Pooling.links(1, 1, x.rank(), pooling().windows(x, steps));
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    int rank = inputs.getFirst().rank();
    return new AveragePool(
        sizes,
        strides,
        Pooling.replace(low, rank, windows, Window::padLow),
        Pooling.replace(high, rank, windows, Window::padHigh));
  }

  @Override
  public double outside(int input) {
    return 0;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    List<TensorType> outputs = infer(inputs);
    return Cost.streaming(
        (double) outputs.getFirst().elements() * pooling().taps(), inputs, outputs);
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    Shape steps = infer(inputs).getFirst().shape();
    return pooling()
        .library(inputs.getFirst().shape(), steps)
        .map(
            windows ->
                Kernel.of("aten::avg_pool2d.out(x0, " + windows + ", false, true, none, y0)"))
        .stream()
        .toList();
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    List<Long> extents = pooling().extents(adjoint.input(0).shape());
    return List.of(
        Tensor.one(new AveragePoolGradient(extents, sizes, strides, low), adjoint.cotangent()));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor x = inputs.getFirst();
    Shape steps = infer(List.of(x.type())).getFirst().shape();
    Tensor padded = pooling().padded(x, steps, 0);
    Tensor sum = pooling().tap(padded, steps, 0);
    for (int tap = 1; tap < pooling().taps(); tap++) {
      sum = sum.plus(pooling().tap(padded, steps, tap));
    }
    return List.of(sum.times(1.0 / pooling().taps()));
  }
}
