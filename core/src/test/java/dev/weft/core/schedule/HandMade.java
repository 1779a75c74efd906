package dev.weft.core.schedule;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Op;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.op.Add;
import dev.weft.core.op.Broadcast;
import dev.weft.core.op.Multiply;
import dev.weft.core.op.Sum;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Pieces that are written by hand: {@code r = in * seed} (or {@code in + h0} where the piece takes
 * a skip), {@code h = r * w}, and behind the last one {@code loss = sum(h * y)}. All numbers are to
 * be small and whole: any order of additions is exact then.
 *
 * @param pieces how many
 * @param recompute pieces that keep no residuals
 * @param skips pieces from 2 on that take what piece 0 makes as well, straight from there
 * @param shared whether the first and the last piece read one parameter
 * @param split whether backwards are split
 * @param firsts whether there are graphs for accumulators that hold nothing
 */
record HandMade(
    int pieces,
    Set<Integer> recompute,
    Set<Integer> skips,
    boolean shared,
    boolean split,
    boolean firsts) {
  static final Set<String> DATA = Set.of("x", "y");
  static final TensorType TYPE = TensorType.of(DataType.F64, 3);

  static HandMade chain(int pieces) {
    return new HandMade(pieces, Set.of(), Set.of(), false, false, false);
  }

  /** The same, nothing kept but inputs. */
  HandMade recomputing() {
    var all = new HashSet<Integer>();
    for (int piece = 0; piece < pieces; piece++) {
      all.add(piece);
    }
    return new HandMade(pieces, all, skips, shared, split, firsts);
  }

  HandMade withFirsts() {
    return new HandMade(pieces, recompute, skips, shared, split, true);
  }

  String weight(int piece) {
    return shared && piece == pieces - 1 ? "w0" : "w" + piece;
  }

  List<PieceGraphs> graphs() {
    var all = new ArrayList<PieceGraphs>();
    for (int piece = 0; piece < pieces; piece++) {
      boolean again = recompute.contains(piece);
      Map<Work, Graph> graphs = new HashMap<>();
      graphs.put(Work.FORWARD, forward(piece, true, !again));
      if (again) {
        graphs.put(Work.RECOMPUTE, forward(piece, false, true));
      }
      Map<Work, Graph> first = new HashMap<>();
      Work last = split ? Work.WEIGHT_GRADIENT : Work.BACKWARD;
      if (split) {
        graphs.put(Work.INPUT_GRADIENT, backward(piece, true, false, false));
      }
      graphs.put(last, backward(piece, !split, true, false));
      if (firsts) {
        first.put(last, backward(piece, !split, true, true));
      }
      all.add(new PieceGraphs(piece, Mesh.SINGLE, graphs, first, Map.of()));
    }
    return all;
  }

  /** What a batch holds, by the name of the input. */
  static Literal fed(String name, int microBatch) {
    return switch (name) {
      case "x" -> numbers(microBatch);
      case "y" -> numbers(microBatch + 7);
      case "seed" -> Literal.scalar(DataType.F64, 1 + microBatch % 2);
      default -> throw new IllegalArgumentException(name);
    };
  }

  /** The value of a parameter. */
  Literal value(String weight) {
    return numbers(weight.hashCode() % 100);
  }

  private static Literal numbers(int start) {
    double[] values = new double[3];
    for (int i = 0; i < 3; i++) {
      values[i] = Math.floorMod(start * 5 + i * 3, 7) - 3.0;
    }
    return Literal.of(TYPE, values);
  }

  /** The loss of each micro-batch; then the gradient that each piece adds up. */
  List<double[]> expected(int microBatches) {
    var expected = new ArrayList<double[]>();
    expected.add(new double[microBatches]);
    for (int piece = 0; piece < pieces; piece++) {
      expected.add(new double[3]);
    }
    for (int m = 0; m < microBatches; m++) {
      double seed = fed("seed", m).asDouble(0);
      for (int i = 0; i < 3; i++) {
        double[] h = new double[pieces];
        double[] r = new double[pieces];
        double[] g = new double[pieces];
        for (int piece = 0; piece < pieces; piece++) {
          double in = piece == 0 ? fed("x", m).asDouble(i) : h[piece - 1];
          r[piece] = takesSkip(piece) ? in + h[0] : in * seed;
          h[piece] = r[piece] * value(weight(piece)).asDouble(i);
        }
        double y = fed("y", m).asDouble(i);
        expected.getFirst()[m] += h[pieces - 1] * y;
        g[pieces - 1] = y;
        for (int piece = pieces - 1; piece >= 0; piece--) {
          expected.get(piece + 1)[i] += g[piece] * r[piece];
          double v = g[piece] * value(weight(piece)).asDouble(i);
          if (takesSkip(piece)) {
            g[piece - 1] += v;
            g[0] += v;
          } else if (piece > 0) {
            g[piece - 1] += v * seed;
          }
        }
      }
    }
    return expected;
  }

  private boolean takesSkip(int piece) {
    return skips.contains(piece) && piece > 1;
  }

  /** The pieces that take a piece's result. */
  private List<Integer> takers(int piece) {
    var takers = new ArrayList<Integer>();
    for (int other = piece + 1; other < pieces; other++) {
      if (other == piece + 1 || piece == 0 && takesSkip(other)) {
        takers.add(other);
      }
    }
    return takers;
  }

  /** A graph being written. */
  private static final class Text {
    private final Builder builder;
    private final Map<String, Value> values = new HashMap<>();

    Text(String name) {
      builder = new Builder(name);
    }

    Value in(String name, Graph.Kind kind) {
      TensorType type = kind == Graph.Kind.FACT ? TensorType.scalar(DataType.F64) : TYPE;
      return values.computeIfAbsent(name, _ -> builder.input(name, type, kind));
    }

    Value op(String name, Op op, Value... arguments) {
      return builder.add(op, List.of(arguments), List.of(name)).getFirst();
    }

    Value seed() {
      Value seed = in("seed", Graph.Kind.FACT);
      return op("seeds", new Broadcast(Shape.of(3), List.of()), seed);
    }

    Value zero() {
      Value seeds = seed();
      Value minus = op("minus", new dev.weft.core.op.Negate(), seeds);
      return op("zero", new Add(), seeds, minus);
    }
  }

  private Graph forward(int piece, boolean result, boolean residual) {
    var text = new Text(result ? "forward" : "recompute");
    Value in = text.in(piece == 0 ? "x" : "h" + (piece - 1), Graph.Kind.DATA);
    Value r =
        takesSkip(piece)
            ? text.op("r" + piece, new Add(), in, text.in("h0", Graph.Kind.DATA))
            : text.op("r" + piece, new Multiply(), in, text.seed());
    if (result) {
      Value w = text.in(weight(piece), Graph.Kind.PARAMETER);
      Value h = text.op("h" + piece, new Multiply(), r, w);
      if (piece == pieces - 1) {
        Value q = text.op("q", new Multiply(), h, text.in("y", Graph.Kind.DATA));
        h = text.op("loss", new Sum(List.of(0)), q);
      }
      text.builder.output(h);
    }
    if (residual) {
      text.builder.output(r);
    }
    return text.builder.build();
  }

  private Graph backward(int piece, boolean toInputs, boolean toWeights, boolean first) {
    var text = new Text("backward");
    Value g;
    if (!toInputs && split) {
      g = text.in("g" + piece, Graph.Kind.DATA);
    } else if (piece == pieces - 1) {
      g = text.op("g" + piece, new Add(), text.in("y", Graph.Kind.DATA), text.zero());
    } else {
      Value sum = text.zero();
      for (int taker : takers(piece)) {
        Value part = text.in("h%d.grad.%d".formatted(piece, taker), Graph.Kind.DATA);
        boolean last = taker == takers(piece).getLast();
        sum = text.op(last ? "g" + piece : "sum" + taker, new Add(), sum, part);
      }
      g = sum;
    }
    String w = weight(piece);
    if (toInputs || !split) {
      Value v = text.op("v", new Multiply(), g, text.in(w, Graph.Kind.PARAMETER));
      if (takesSkip(piece)) {
        for (String skipped : List.of("h" + (piece - 1), "h0")) {
          String name = skipped + ".grad." + piece;
          text.builder.output(text.op(name, new Add(), v, text.zero()));
        }
      } else if (piece > 0) {
        String name = "h%d.grad.%d".formatted(piece - 1, piece);
        text.builder.output(text.op(name, new Multiply(), v, text.seed()));
      }
      if (split) {
        text.builder.output(g);
      }
    }
    if (toWeights) {
      text.in(w, Graph.Kind.PARAMETER);
      Value r = text.in("r" + piece, Graph.Kind.DATA);
      if (first) {
        text.builder.output(text.op(w + ".sum", new Multiply(), g, r));
      } else {
        Value own = text.op("own", new Multiply(), g, r);
        Value sum = text.in(w + ".sum", Graph.Kind.ACCUMULATOR);
        text.builder.output(text.op(w + ".sum.added", new Add(), sum, own), sum);
      }
    }
    return Objects.requireNonNull(text.builder.build());
  }
}
