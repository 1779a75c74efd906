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
 * The gradient of {@link Convolution} by the filter. Inputs: x [n, c, spatial...], the output's
 * cotangent [n, o, spatial...]. Output: [o, c / groups, taps...].
 *
 * @param shape the shape of the output
 * @param strides as of the convolution, per spatial dim
 * @param low likewise; the zeros behind follow from the shapes
 * @param dilations likewise
 * @param baseDilations likewise
 */
public record ConvolutionFilterGradient(
    Shape shape, List<Long> strides, List<Long> low, List<Long> dilations, List<Long> baseDilations)
    implements Primitive, Windowed {
  static final OpEntry ENTRY =
      OpEntry.of(
          ConvolutionFilterGradient.class,
          Example.of(
              new ConvolutionFilterGradient(Shape.of(4, 3, 3, 3), all(1), all(1), all(1), all(1)),
              Example.f32(2, 3, 5, 4),
              Example.f32(2, 4, 5, 4)),
          Example.of(
              new ConvolutionFilterGradient(
                  Shape.of(6, 2, 2, 3), List.of(2L, 3L), List.of(0L, 2L), List.of(1L, 2L), all(1)),
              Example.f32(2, 4, 6, 7),
              Example.f32(2, 6, 3, 2)),
          Example.of(
              new ConvolutionFilterGradient(
                  Shape.of(2, 1, 2, 2), List.of(2L, 1L), List.of(-1L, 1L), all(1), List.of(3L, 2L)),
              Example.f32(1, 2, 4, 3),
              Example.f32(1, 2, 5, 3)),
          Example.of(
              new ConvolutionFilterGradient(
                  Shape.of(2, 3, 4), List.of(2L), List.of(1L), List.of(1L), List.of(1L)),
              Example.f32(2, 3, 7),
              Example.f32(2, 2, 3)));

  public ConvolutionFilterGradient {
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
    TensorType x = inputs.get(0);
    TensorType dy = inputs.get(1);
    Check.type(this, inputs, 1, dy.with(x.dtype()));
    ConvolutionGeometry.checkChannels(this, inputs, x.shape(), shape, dy.shape());
    return List.of(x.with(shape));
  }

  private ConvolutionGeometry geometry(List<TensorType> inputs) {
    return ConvolutionGeometry.of(steps(), inputs.get(0).shape(), shape, inputs.get(1).shape());
  }

  @Override
  public Factors factors(List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    List<List<List<String>>> all = geometry.factors();
    return geometry.marked(
        ConvolutionGeometry.factors(List.of(all.get(0), all.get(2)), all.get(1)));
  }

  @Override
  public Op local(List<TensorType> outputs) {
    return new ConvolutionFilterGradient(
        outputs.getFirst().shape(), strides, low, dilations, baseDilations);
  }

  @Override
  public List<Link> links(List<TensorType> inputs) {
    ConvolutionGeometry geometry = geometry(inputs);
    return geometry.links(0, List.of(1), List.of(), geometry.windows());
  }

  @Override
  public Op withWindows(List<TensorType> inputs, Map<String, Window> windows) {
    var lows = new ArrayList<>(low);
    for (int dim = 0; dim < lows.size(); dim++) {
      Window window = windows.get("s" + dim);
      if (window != null) {
        lows.set(dim, window.padLow());
      }
    }
    return new ConvolutionFilterGradient(shape, strides, lows, dilations, baseDilations);
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
    if (geometry.y().elements() == 0 || shape.elements() == 0) {
      return List.of(Kernel.of("weft::fill(y0, 0.0)"));
    }
    // The library asks for the filter, and looks at its sizes only.
    String call =
        "aten::convolution_backward(x1, %s, y0, none, "
            + geometry.arguments()
            + ", [false,true,false]) -> _, y0, _";
    if (geometry.isDirect()) {
      return List.of(Kernel.of(call.formatted("x0")));
    }
    var calls = geometry.padding().calls(inputs.getFirst(), "t0", "x0");
    calls.add(call.formatted("t0"));
    return List.of(Kernel.of(calls.toArray(String[]::new)));
  }

  @Override
  public List<@Nullable Tensor> gradient(Adjoint adjoint) {
    Tensor x = adjoint.input(0);
    Tensor dy = adjoint.input(1);
    Tensor dfilter = adjoint.cotangent();
    List<Window> windows = geometry(List.of(x.type(), dy.type())).windows();
    List<Long> high = windows.stream().map(Window::padHigh).toList();
    return List.of(
        Tensor.one(
            new ConvolutionInputGradient(x.shape(), strides, low, dilations, baseDilations),
            dy,
            dfilter),
        Tensor.one(new Convolution(strides, low, high, dilations, baseDilations), x, dfilter));
  }

  @Override
  public List<Literal> reference(List<Literal> inputs) {
    double[] x = inputs.get(0).doubles();
    double[] dy = inputs.get(1).doubles();
    double[] dfilter = new double[Math.toIntExact(shape.elements())];
    geometry(inputs.stream().map(Literal::type).toList())
        .forEach((i, k, o) -> dfilter[k] += x[i] * dy[o]);
    return List.of(Literal.of(inputs.getFirst().type().with(shape), dfilter));
  }
}
