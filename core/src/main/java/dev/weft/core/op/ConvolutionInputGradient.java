package dev.weft.core.op;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Cost;
import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Kernel;
import dev.weft.core.graph.Literal;
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
 * The gradient of {@link Convolution} by x, also known as a transposed convolution. Inputs: the
 * output's cotangent [n, o, spatial...], filter [o, c / groups, taps...]. Output: [n, c,
 * spatial...].
 *
 * @param shape the shape of the output
 * @param strides as of the convolution, per spatial dim
 * @param low likewise; the zeros behind follow from the shapes
 * @param dilations likewise
 * @param baseDilations likewise
 */
public record ConvolutionInputGradient(
    Shape shape, List<Long> strides, List<Long> low, List<Long> dilations, List<Long> baseDilations)
    implements Primitive, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          ConvolutionInputGradient.class,
          Example.of(
              new ConvolutionInputGradient(Shape.of(2, 3, 5, 4), all(1), all(1), all(1), all(1)),
              Example.f32(2, 4, 5, 4),
              Example.f32(4, 3, 3, 3)),
          Example.of(
              new ConvolutionInputGradient(
                  Shape.of(2, 4, 6, 7), List.of(2L, 3L), List.of(0L, 2L), List.of(1L, 2L), all(1)),
              Example.f32(2, 6, 3, 2),
              Example.f32(6, 2, 2, 3)),
          Example.of(
              new ConvolutionInputGradient(
                  Shape.of(1, 2, 4, 3), List.of(2L, 1L), List.of(-1L, 1L), all(1), List.of(3L, 2L)),
              Example.f32(1, 2, 5, 3),
              Example.f32(2, 1, 2, 2)),
          Example.of(
              new ConvolutionInputGradient(
                  Shape.of(2, 3, 7), List.of(2L), List.of(1L), List.of(1L), List.of(1L)),
              Example.f32(2, 2, 3),
              Example.f32(2, 3, 4)));

  public ConvolutionInputGradient {
    strides = List.copyOf(strides);
    low = List.copyOf(low);
    dilations = List.copyOf(dilations);
    baseDilations = List.copyOf(baseDilations);
  }

  private static List<Long> all(long value) {
    return ConvolutionGeometry.all(2, value);
  }

  private ConvolutionGeometry.Steps steps() {
    return new ConvolutionGeometry.Steps(strides, low, dilations, baseDilations);
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 2);
    Check.isFloat(this, inputs, 0);
    ConvolutionGeometry.check(this, inputs, steps());
    int rank = strides.size() + 2;
    Check.rank(this, inputs, 0, rank);
    Check.rank(this, inputs, 1, rank);
    Check.require(shape.rank() == rank, this, inputs, "the shape must have rank " + rank);
    TensorType dy = inputs.get(0);
    TensorType filter = inputs.get(1);
    Check.type(this, inputs, 1, filter.with(dy.dtype()));
    ConvolutionGeometry.checkChannels(this, inputs, shape, filter.shape(), dy.shape());
    return List.of(dy.with(shape));
  }

  private ConvolutionGeometry geometry(List<TensorType> inputs) {
    return ConvolutionGeometry.of(steps(), shape, inputs.get(1).shape(), inputs.get(0).shape());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    List<List<List<String>>> all = geometry.factors();
    return geometry.marked(
        ConvolutionGeometry.factors(List.of(all.get(2), all.get(1)), all.get(0)));
  }

  @Override
  public Op local(List<TensorType> outputs) {
    return new ConvolutionInputGradient(
        outputs.getFirst().shape(), strides, low, dilations, baseDilations);
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    return geometry.links(0, List.of(), List.of(0), geometry.transposed());
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    var lows = new ArrayList<>(low);
    long[] sizes = shape.sizes();
    for (int dim = 0; dim < lows.size(); dim++) {
      Window window = windows.get("s" + dim);
      if (window != null) {
        lows.set(dim, window.span() - 1 - window.padLow());
        sizes[2 + dim] = window.steps(inputs.getFirst().size(2 + dim));
      }
    }
    return new ConvolutionInputGradient(Shape.of(sizes), strides, lows, dilations, baseDilations);
  }

  @Override
  public double outside(int input) {
    return 0;
  }

  @Override
  public Cost cost(List<TensorType> inputs) {
    return Cost.streaming(geometry(inputs).flops(), inputs, infer(inputs));
  }

  @Override
  public List<Kernel> kernels(DeviceKind kind, List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    TensorType dy = inputs.getFirst();
    if (geometry.y().elements() == 0 || shape.elements() == 0) {
      return List.of(Kernel.of("weft::fill(y0, 0.0)"));
    }
    // The library asks for x, and looks at its sizes only.
    String call =
        "aten::convolution_backward(x0, %s, x1, none, "
            + geometry.arguments()
            + ", [true,false,false]) -> %s, _, _";
    if (geometry.isDirect()) {
      return List.of(Kernel.of(call.formatted("y0", "y0")));
    }
    Pad padding = geometry.padding();
    TensorType padded = padding.infer(List.of(dy.with(shape))).getFirst();
    var calls = new ArrayList<String>();
    calls.add(call.formatted("t0:" + padded, "t1:" + padded));
    calls.addAll(padding.undo(dy.with(shape), "y0", "t1"));
    return List.of(Kernel.of(calls.toArray(String[]::new)));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor dy = adjoint.input(0);
    Tensor filter = adjoint.input(1);
    Tensor dx = adjoint.cotangent();
    List<Window> windows = geometry(List.of(dy.type(), filter.type())).windows();
    List<Long> high = windows.stream().map(Window::padHigh).toList();
    return List.of(
        Tensor.one(new Convolution(strides, low, high, dilations, baseDilations), dx, filter),
        Tensor.one(
            new ConvolutionFilterGradient(filter.shape(), strides, low, dilations, baseDilations),
            dx,
            dy));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    double[] dy = inputs.get(0).doubles();
    double[] filter = inputs.get(1).doubles();
    double[] dx = new double[Math.toIntExact(shape.elements())];
    geometry(inputs.stream().map(Literal::type).toList())
        .forEach((i, k, o) -> dx[i] += dy[o] * filter[k]);
    return List.of(Literal.of(inputs.getFirst().type().with(shape), dx));
  }
}
