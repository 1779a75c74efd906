package dev.weft.core.interpret;

import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.Bucket;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Moving;
import dev.weft.core.collective.Piece;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.collective.Reducing;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What the members of a group get from a collective: its meaning in plain Java. */
final class Exchange {
  /** What stands for unknown content among integers: no index, no count. */
  private static final long POISON = Long.MIN_VALUE / 3;

  private Exchange() {}

  /** The results of all members of a collective of one tensor, in the order of the group. */
  static List<Literal> run(Collective collective, List<Literal> inputs) {
    return switch (collective) {
      case AllReduce op -> {
        Literal sum = fold(op, inputs);
        yield java.util.Collections.nCopies(inputs.size(), sum);
      }
      case ReduceScatter op -> scatter(op, fold(op, inputs));
      case Moving op -> move(op, inputs);
      case Bucket _ -> throw new IllegalArgumentException("a bucket is exchanged part by part");
    };
  }

  /** A fixed tree over the members: neighbours first, then neighbouring pairs, and so on. */
  private static Literal fold(Reducing op, List<Literal> parts) {
    List<Literal> level = parts;
    while (level.size() > 1) {
      var next = new ArrayList<Literal>();
      for (int i = 0; i + 1 < level.size(); i += 2) {
        next.add(fold(op, level.get(i), level.get(i + 1)));
      }
      if (level.size() % 2 == 1) {
        next.add(level.getLast());
      }
      level = next;
    }
    return level.getFirst();
  }

  private static Literal fold(Reducing op, Literal a, Literal b) {
    if (a.type().dtype().isFloat()) {
      double[] result = new double[a.elements()];
      for (int i = 0; i < result.length; i++) {
        result[i] = op.folding().apply(a.doubles()[i], b.doubles()[i]);
      }
      return Literal.of(a.type(), result);
    }
    long[] result = new long[a.elements()];
    for (int i = 0; i < result.length; i++) {
      result[i] = op.folding().apply(a.longs()[i], b.longs()[i]);
    }
    return Literal.of(a.type(), result);
  }

  private static List<Literal> scatter(ReduceScatter op, Literal whole) {
    Tiles tiles = op.tiles(whole.type());
    var results = new ArrayList<Literal>();
    for (int member = 0; member < op.members(); member++) {
      Literal result = blank(op.infer(List.of(whole.type())).getFirst(), Double.NaN);
      long[] source = new long[whole.shape().rank()];
      source[op.dim()] = tiles.start(member);
      long[] sizes = whole.shape().sizes();
      sizes[op.dim()] = tiles.length(member);
      copy(whole, source, result, new long[source.length], sizes);
      results.add(result);
    }
    return results;
  }

  private static List<Literal> move(Moving op, List<Literal> inputs) {
    TensorType input = inputs.getFirst().type();
    TensorType type = op.infer(List.of(input)).getFirst();
    var results = new ArrayList<Literal>();
    for (int member = 0; member < inputs.size(); member++) {
      results.add(blank(type, op.fill()));
    }
    for (Piece piece : op.pieces(input)) {
      copy(
          inputs.get(piece.from()),
          piece.source(),
          results.get(piece.to()),
          piece.target(),
          piece.sizes());
    }
    return results;
  }

  /** A tensor of a number, or poisoned where the number is NaN. */
  static Literal blank(TensorType type, double fill) {
    if (type.dtype().isFloat()) {
      return Literal.filled(type, fill);
    }
    long[] values = new long[Math.toIntExact(type.elements())];
    boolean logical = type.dtype() == dev.weft.core.graph.DataType.BOOL;
    long value = Double.isNaN(fill) ? (logical ? 1 : POISON) : (long) fill;
    if (type.dtype() == dev.weft.core.graph.DataType.I32 && Double.isNaN(fill)) {
      value = Integer.MIN_VALUE / 3;
    }
    Arrays.fill(values, value);
    return Literal.of(type, values);
  }

  /** Copies a box. */
  static void copy(Literal from, long[] source, Literal to, long[] target, long[] sizes) {
    long elements = 1;
    for (long size : sizes) {
      elements *= size;
    }
    if (elements == 0) {
      return;
    }
    long[] fromStrides = from.shape().strides();
    long[] toStrides = to.shape().strides();
    int rank = sizes.length;
    long[] index = new long[rank];
    for (long n = 0; n < elements; n++) {
      long a = 0;
      long b = 0;
      for (int dim = 0; dim < rank; dim++) {
        a += (source[dim] + index[dim]) * fromStrides[dim];
        b += (target[dim] + index[dim]) * toStrides[dim];
      }
      if (from.type().dtype().isFloat()) {
        to.doubles()[(int) b] = from.doubles()[(int) a];
      } else {
        to.longs()[(int) b] = from.longs()[(int) a];
      }
      for (int dim = rank - 1; dim >= 0 && ++index[dim] == sizes[dim]; dim--) {
        index[dim] = 0;
      }
    }
  }
}
