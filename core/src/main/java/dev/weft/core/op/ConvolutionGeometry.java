package dev.weft.core.op;

import dev.weft.core.graph.Factors;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Window;
import dev.weft.core.graph.Windowed.Link;
import dev.weft.core.graph.Windowed.Place;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * The sizes of a convolution, which it shares with its two gradients: x [n, c, spatial...], filter
 * [o, c / groups, taps...], y [n, o, spatial...]. Element (x, filter, y) take part together where a
 * tap of a step touches an element, in each spatial dim as {@link Window} says.
 *
 * @param x the shape of what the windows slide over
 * @param filter the shape of the filter
 * @param y the shape with one element per step
 * @param windows one per spatial dim
 */
record ConvolutionGeometry(Shape x, Shape filter, Shape y, List<Window> windows) {
  /** Steps of all spatial dims, as attributes give them. */
  record Steps(List<Long> strides, List<Long> low, List<Long> dilations, List<Long> baseDilations) {
    int dims() {
      return strides.size();
    }

    /** The window of a spatial dim, without padding behind. */
    Window window(int dim, long taps) {
      return new Window(
          taps, strides.get(dim), low.get(dim), 0, dilations.get(dim), baseDilations.get(dim));
    }
  }

  /** The geometry of the given shapes, which {@link #check} has seen. */
  static ConvolutionGeometry of(Steps steps, Shape x, Shape filter, Shape y) {
    var windows = new ArrayList<Window>();
    for (int dim = 0; dim < steps.dims(); dim++) {
      Window window = steps.window(dim, filter.size(2 + dim));
      windows.add(window.fitted(x.size(2 + dim), y.size(2 + dim)));
    }
    return new ConvolutionGeometry(x, filter, y, windows);
  }

  /** Demands attributes for 1 to 3 spatial dims that fit each other. */
  static void check(Op op, List<TensorType> inputs, Steps steps) {
    int dims = steps.dims();
    Check.require(
        dims >= 1
            && dims <= 3
            && steps.low().size() == dims
            && steps.dilations().size() == dims
            && steps.baseDilations().size() == dims,
        op,
        inputs,
        "strides, paddings and dilations must name the same 1 to 3 spatial dims");
    for (int dim = 0; dim < dims; dim++) {
      Check.require(
          steps.strides().get(dim) >= 1
              && steps.dilations().get(dim) >= 1
              && steps.baseDilations().get(dim) >= 1,
          op,
          inputs,
          "strides and dilations must be at least 1");
    }
  }

  /** Demands channels that fit each other. */
  static void checkChannels(Op op, List<TensorType> inputs, Shape x, Shape filter, Shape y) {
    long perGroup = filter.size(1);
    Check.require(
        perGroup >= 1
            && x.size(1) >= 1
            && x.size(1) % perGroup == 0
            && filter.size(0) % (x.size(1) / perGroup) == 0,
        op,
        inputs,
        "a filter %s does not fit %d channels: they are one group, or several as large as the filter's dim 1, with as many filters each"
            .formatted(filter, x.size(1)));
    Check.require(
        y.size(1) == filter.size(0) && y.size(0) == x.size(0),
        op,
        inputs,
        "x %s and filter %s do not fit a result %s".formatted(x, filter, y));
  }

  long groups() {
    return x.size(1) / filter.size(1);
  }

  int dims() {
    return windows.size();
  }

  /** Multiplications and additions. */
  double flops() {
    return 2.0 * y.elements() * filter.product(1, filter.rank());
  }

  /** The factors of x, filter and y, in this order. */
  List<List<List<String>>> factors() {
    var ofX = new ArrayList<List<String>>(List.of(List.of("n")));
    var ofFilter = new ArrayList<List<String>>();
    var ofY = new ArrayList<List<String>>(List.of(List.of("n")));
    boolean grouped = groups() > 1;
    ofX.add(grouped ? List.of("g", "c") : List.of("c"));
    ofFilter.add(grouped ? List.of("g", "o") : List.of("o"));
    ofFilter.add(List.of("c"));
    ofY.add(ofFilter.getFirst());
    for (int dim = 0; dim < dims(); dim++) {
      ofX.add(List.of("s" + dim));
      ofFilter.add(List.of("k" + dim));
      ofY.add(List.of("s" + dim));
    }
    return List.of(ofX, ofFilter, ofY);
  }

  /** What the factors demand: filters stay whole, other spatial dims need halos. */
  Factors marked(Factors factors) {
    Factors marked = factors;
    for (int dim = 0; dim < dims(); dim++) {
      marked = marked.mark("k" + dim, Factors.Mark.WHOLE);
      if (moves(dim)) {
        marked = marked.mark("s" + dim, Factors.Mark.HALO);
      }
    }
    return marked;
  }

  /** False where each step is just the element of the same index. */
  boolean moves(int dim) {
    Window window = windows.get(dim);
    return !(window.size() == 1
        && window.stride() == 1
        && window.baseDilation() == 1
        && window.padLow() == 0
        && x.size(2 + dim) == y.size(2 + dim));
  }

  /**
   * The links of all spatial dims that move.
   *
   * @param bases which input the windows slide over
   * @param steps inputs with an element per step
   * @param results outputs with an element per step
   * @param seen the windows as these tensors see them
   */
  List<Link> links(int bases, List<Integer> steps, List<Integer> results, List<Window> seen) {
    var links = new ArrayList<Link>();
    for (int dim = 0; dim < dims(); dim++) {
      int place = 2 + dim;
      if (moves(dim)) {
        links.add(
            new Link(
                "s" + dim,
                List.of(new Place(bases, place)),
                steps.stream().map(i -> new Place(i, place)).toList(),
                results.stream().map(i -> new Place(i, place)).toList(),
                seen.get(dim)));
      }
    }
    return links;
  }

  /** The windows as the result sees them: sliding over steps, a step per element. */
  List<Window> transposed() {
    var transposed = new ArrayList<Window>();
    for (int dim = 0; dim < dims(); dim++) {
      transposed.add(windows.get(dim).transposed(x.size(2 + dim), y.size(2 + dim)));
    }
    return transposed;
  }

  /** Whether the library's own padding, the same on both sides, gives the same result. */
  boolean isDirect() {
    for (int dim = 0; dim < dims(); dim++) {
      Window window = windows.get(dim);
      Window even = window.with(window.padLow(), window.padLow());
      boolean fits = even.steps(x.size(2 + dim)) == y.size(2 + dim);
      if (window.baseDilation() != 1 || window.padLow() < 0 || !fits) {
        return false;
      }
    }
    return true;
  }

  /** Padding of x to just what the windows touch. */
  Pad padding() {
    return padding(0);
  }

  Pad padding(double value) {
    var low = new ArrayList<>(List.of(0L, 0L));
    var high = new ArrayList<>(List.of(0L, 0L));
    var interior = new ArrayList<>(List.of(0L, 0L));
    for (Window window : windows) {
      low.add(window.padLow());
      high.add(window.padHigh());
      interior.add(window.baseDilation() - 1);
    }
    return new Pad(low, high, interior, value);
  }

  /** The library's arguments from strides to groups. */
  String arguments() {
    List<Long> zeros = Collections.nCopies(dims(), 0L);
    List<Long> padding = isDirect() ? windows.stream().map(Window::padLow).toList() : zeros;
    return "%s, %s, %s, false, %s, %d"
        .formatted(
            windows.stream().map(Window::stride).toList(),
            padding,
            windows.stream().map(Window::windowDilation).toList(),
            zeros,
            groups());
  }

  /** Is shown the places of one element of each of x, filter and y in dense memory. */
  interface Visitor {
    void visit(int x, int filter, int y);
  }

  /** Shows every product that takes part. */
  void forEach(Visitor visitor) {
    long[][] touches = touches();
    int xPlane = plane(x);
    int taps = plane(filter);
    int yPlane = plane(y);
    int groups = (int) groups();
    int channels = (int) filter.size(1);
    int filters = (int) filter.size(0) / groups;
    for (int n = 0; n < x.size(0); n++) {
      for (int g = 0; g < groups; g++) {
        for (int o = g * filters; o < (g + 1) * filters; o++) {
          int inY = (n * (int) filter.size(0) + o) * yPlane;
          for (int c = 0; c < channels; c++) {
            int inX = (n * (int) x.size(1) + g * channels + c) * xPlane;
            int inFilter = (o * channels + c) * taps;
            for (long[] touch : touches) {
              visitor.visit(inX + (int) touch[0], inFilter + (int) touch[1], inY + (int) touch[2]);
            }
          }
        }
      }
    }
  }

  private static int plane(Shape shape) {
    return Math.toIntExact(shape.product(2, shape.rank()));
  }

  /** Element, tap and step, wherever a tap touches an element within one plane. */
  private long[][] touches() {
    List<long[]> found = List.of(new long[3]);
    for (int dim = 0; dim < dims(); dim++) {
      Window window = windows.get(dim);
      long elements = x.size(2 + dim);
      long taps = filter.size(2 + dim);
      long steps = y.size(2 + dim);
      var more = new ArrayList<long[]>();
      for (long[] outer : found) {
        for (long step = 0; step < steps; step++) {
          for (long tap = 0; tap < taps; tap++) {
            long at = step * window.stride() + tap * window.windowDilation() - window.padLow();
            if (at >= 0 && at % window.baseDilation() == 0) {
              long element = at / window.baseDilation();
              if (element < elements) {
                more.add(
                    new long[] {
                      outer[0] * elements + element, outer[1] * taps + tap, outer[2] * steps + step
                    });
              }
            }
          }
        }
      }
      found = more;
    }
    return found.toArray(long[][]::new);
  }

  /** A list of one number per spatial dim. */
  static List<Long> all(int dims, long value) {
    return LongStream.range(0, dims).mapToObj(i -> value).toList();
  }

  static Factors factors(List<List<List<String>>> inputs, List<List<String>> output) {
    return new Factors(inputs, List.of(output), Map.of());
  }
}
