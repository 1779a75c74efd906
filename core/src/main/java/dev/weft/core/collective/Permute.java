package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Spec;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A tensor moved from one split to another, tiles straight to those who need them. What a member
 * has already it keeps; what several members have is sent by the one with least to send so far.
 *
 * @param axes all axes that either split names
 * @param shape of the whole tensor
 * @param from how it is split
 * @param to how it shall be split
 */
public record Permute(List<MeshAxis> axes, Shape shape, Spec from, Spec to) implements Moving {
  public Permute {
    axes = List.copyOf(axes);
  }

  @Override
  public Kind kind() {
    return Kind.PERMUTE;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    Check.require(
        input.shape().equals(room(from)), this, inputs, "expected tiles of shape " + room(from));
    return List.of(input.with(room(to)));
  }

  private Shape room(Spec spec) {
    long[] sizes = new long[shape.rank()];
    for (int dim = 0; dim < sizes.length; dim++) {
      sizes[dim] = tiles(spec, dim).room();
    }
    return Shape.of(sizes);
  }

  private Tiles tiles(Spec spec, int dim) {
    return Tiles.of(shape.size(dim), select(spec.axes(dim)));
  }

  private List<MeshAxis> select(List<String> names) {
    return names.stream().map(this::axis).toList();
  }

  private MeshAxis axis(String name) {
    return axes.stream().filter(a -> a.name().equals(name)).findFirst().orElseThrow();
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    return Moving.busiest(pieces(input), members(), input);
  }

  /** One member's tile: per dim start and end. */
  private record Box(long[] start, long[] end) {
    boolean isEmpty() {
      for (int i = 0; i < start.length; i++) {
        if (start[i] >= end[i]) {
          return true;
        }
      }
      return false;
    }

    Box meet(Box other) {
      long[] low = new long[start.length];
      long[] high = new long[start.length];
      for (int i = 0; i < low.length; i++) {
        low[i] = Math.max(start[i], other.start[i]);
        high[i] = Math.min(end[i], other.end[i]);
      }
      return new Box(low, high);
    }

    List<Long> key() {
      var key = new ArrayList<Long>();
      for (int i = 0; i < start.length; i++) {
        key.add(start[i]);
        key.add(end[i]);
      }
      return key;
    }

    long elements() {
      long elements = 1;
      for (int i = 0; i < start.length; i++) {
        elements *= Math.max(0, end[i] - start[i]);
      }
      return elements;
    }
  }

  private Box box(Spec spec, int member) {
    int rank = shape.rank();
    long[] start = new long[rank];
    long[] end = new long[rank];
    for (int dim = 0; dim < rank; dim++) {
      Tiles tiles = tiles(spec, dim);
      int tile = 0;
      for (String name : spec.axes(dim)) {
        tile = tile * axis(name).size() + coordinate(member, name);
      }
      start[dim] = tiles.start(tile);
      end[dim] = start[dim] + tiles.length(tile);
    }
    return new Box(start, end);
  }

  private int coordinate(int member, String name) {
    int rest = member;
    for (MeshAxis axis : axes.reversed()) {
      if (axis.name().equals(name)) {
        return rest % axis.size();
      }
      rest /= axis.size();
    }
    throw new IllegalStateException("no axis " + name);
  }

  @Override
  public List<Piece> pieces(TensorType input) {
    int members = members();
    Box[] held = new Box[members];
    Box[] wanted = new Box[members];
    // Replicas hold equal boxes: whoever needs a box chooses among its holders.
    var holders = new java.util.LinkedHashMap<List<Long>, List<Integer>>();
    for (int member = 0; member < members; member++) {
      held[member] = box(from, member);
      wanted[member] = box(to, member);
      if (!held[member].isEmpty()) {
        holders.computeIfAbsent(held[member].key(), _ -> new ArrayList<>()).add(member);
      }
    }
    long[] sent = new long[members];
    var pieces = new ArrayList<Piece>();
    for (int member = 0; member < members; member++) {
      for (List<Integer> copies : holders.values()) {
        Box have = held[copies.getFirst()];
        Box meet = have.meet(wanted[member]);
        if (meet.isEmpty()) {
          continue;
        }
        int sender = copies.contains(member) ? member : least(copies, sent);
        if (sender != member) {
          sent[sender] += meet.elements();
        }
        long[] sizes = minus(meet.end(), meet.start());
        pieces.add(
            new Piece(
                sender,
                minus(meet.start(), have.start()),
                member,
                minus(meet.start(), wanted[member].start()),
                sizes));
      }
    }
    return pieces;
  }

  private static int least(List<Integer> members, long[] sent) {
    int best = members.getFirst();
    for (int member : members) {
      if (sent[member] < sent[best]) {
        best = member;
      }
    }
    return best;
  }

  private static long[] minus(long[] a, long[] b) {
    long[] difference = Arrays.copyOf(a, a.length);
    for (int i = 0; i < a.length; i++) {
      difference[i] -= b[i];
    }
    return difference;
  }
}
