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
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The gradient of {@link AveragePool}: of the output's cotangent.
 *
 * @param extents the sizes of the output in the dims that the window slides along
 * @param sizes as of the pooling, per dim that the window slides along
 * @param strides likewise
 * @param low likewise; the padding behind follows from the shapes
 */
public record AveragePoolGradient(
    List<Long> extents, List<Long> sizes, List<Long> strides, List<Long> low)
    implements Composite, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          AveragePoolGradient.class,
          Example.of(
              new AveragePoolGradient(List.of(4L, 6L), all(2), all(2), all(0)),
              Example.f32(2, 3, 2, 3)),
          Example.of(
              new AveragePoolGradient(List.of(7L, 5L), all(3), all(2), all(1)),
              Example.f32(1, 2, 4, 3)),
          Example.of(
              new AveragePoolGradient(
                  List.of(5L, 6L), List.of(2L, 3L), List.of(1L, 2L), List.of(1L, 0L)),
              Example.f32(2, 5, 3)));

  public AveragePoolGradient {
    extents = List.copyOf(extents);
    sizes = List.copyOf(sizes);
    strides = List.copyOf(strides);
    low = List.copyOf(low);
  }

  private static List<Long> all(long value) {
    return Pooling.all(2, value);
  }

  private Pooling pooling() {
    return new Pooling(sizes, strides, low, Pooling.all(sizes.size(), 1));
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    Check.isFloat(this, inputs, 0);
    pooling().check(this, inputs);
    Check.require(
        extents.size() == sizes.size() && extents.stream().allMatch(n -> n >= 0),
        this,
        inputs,
        "extents must name a size for each dim of the window");
    TensorType dy = inputs.getFirst();
    return List.of(dy.with(pooling().elements(dy.shape(), extents)));
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    return pooling().factors(1, 1, inputs.getFirst().rank());
  }

  @Override
  public Op local(List<TensorType> outputs) {
    List<Long> local = pooling().extents(outputs.getFirst().shape());
    return new AveragePoolGradient(local, sizes, strides, low);
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    Shape steps = inputs.getFirst().shape();
    Shape x = infer(inputs).getFirst().shape();
    return Pooling.links(1, 1, x.rank(), pooling().transposed(x, steps));
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    Shape steps = inputs.getFirst().shape();
    int rank = steps.rank();
    var local = new ArrayList<>(extents);
    for (int i = 0; i < local.size(); i++) {
      int dim = rank - local.size() + i;
      Window window = windows.get("d" + dim);
      if (window != null) {
        local.set(i, window.steps(steps.size(dim)));
      }
    }
    return new AveragePoolGradient(
        local, sizes, strides, Pooling.replace(low, rank, windows, w -> w.span() - 1 - w.padLow()));
  }

  @Override
  public double outside(int input) {
    return 0;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(
        (double) inputs.getFirst().elements() * pooling().taps(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    Shape x = infer(inputs).getFirst().shape();
    // The library asks for x, and looks at its sizes only.
    return pooling()
        .library(x, inputs.getFirst().shape())
        .map(
            windows ->
                Kernel.of(
                    "aten::avg_pool2d_backward.grad_input(x0, y0, "
                        + windows
                        + ", false, true, none, y0)"))
        .stream()
        .toList();
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Shape steps = adjoint.input(0).shape();
    Shape x = adjoint.output(0).shape();
    List<Long> high = pooling().windows(x, steps).stream().map(Window::padHigh).toList();
    return List.of(Tensor.one(new AveragePool(sizes, strides, low, high), adjoint.cotangent()));
  }

  @Override
  public List<Tensor> expand(List<Tensor> inputs) {
    Tensor share = inputs.getFirst().times(1.0 / pooling().taps());
    Shape x = infer(List.of(share.type())).getFirst().shape();
    Tensor sum = pooling().untap(share, x, 0);
    for (int tap = 1; tap < pooling().taps(); tap++) {
      sum = sum.plus(pooling().untap(share, x, tap));
    }
    return List.of(sum);
  }
}
