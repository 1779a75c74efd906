package dev.weft.runtime.collective;

import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllReduce;
import dev.weft.core.collective.Bucket;
import dev.weft.core.collective.Collective;
import dev.weft.core.collective.Moving;
import dev.weft.core.collective.Piece;
import dev.weft.core.collective.ReduceScatter;
import dev.weft.core.collective.Reducing;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.Shape;
import dev.weft.core.graph.TensorType;
import dev.weft.engine.program.Literals;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * What is to be done in a collective of a group whose tensors lie in one memory: tasks that do not
 * touch one another's results, so that any thread may do any of them at any time. Every input is
 * read where it lies and every result written where it belongs, each once.
 */
final class Transfer {
  /** Bytes of results that a task writes at most, per member. */
  private static final long TASK = 256 << 10;

  /** How many numbers a pattern to fill with holds. */
  private static final int PATTERN = 1024;

  /** A part of the work. */
  @FunctionalInterface
  private interface Task {
    void run(MemorySegment[] inputs, MemorySegment[] outputs);
  }

  /**
   * A task.
   *
   * @param tensor which of the collective's tensors it works on
   */
  private record Part(int tensor, Task task) {}

  private final List<Part> tasks = new ArrayList<>();
  private int tensor;
  private long bytes;

  private Transfer() {}

  /** The work of one collective. */
  static Transfer of(Collective collective, List<TensorType> inputs) {
    var transfer = new Transfer();
    if (collective instanceof Bucket bucket) {
      for (Reducing part : bucket.parts()) {
        transfer.add(part, inputs.get(transfer.tensor));
        transfer.tensor++;
      }
    } else {
      transfer.add(collective, inputs.getFirst());
    }
    return transfer;
  }

  private void add(Collective collective, TensorType input) {
    TensorType output = collective.infer(List.of(input)).getFirst();
    switch (collective) {
      case AllReduce op -> {
        long[] origin = new long[input.rank()];
        Fold<?> fold = Fold.of(input.dtype(), op.folding());
        Box whole = box(input, origin, output, origin, input.shape().sizes());
        cut(
            whole,
            (begin, end) ->
                (members, results) ->
                    whole.forEach(
                        begin, end, (from, to, n) -> fold.run(members, from, results, to, n)));
      }
      case ReduceScatter op -> {
        Fold<?> fold = Fold.of(input.dtype(), op.folding());
        Tiles tiles = op.tiles(input);
        for (int member = 0; member < op.members(); member++) {
          long[] source = new long[input.rank()];
          source[op.dim()] = tiles.start(member);
          long[] sizes = input.shape().sizes();
          sizes[op.dim()] = tiles.length(member);
          reduce(fold, member, box(input, source, output, new long[source.length], sizes));
        }
      }
      case Moving op -> {
        List<Piece> pieces = op.pieces(input);
        for (Piece piece : pieces) {
          copy(piece, input, output);
        }
        if (!Double.isNaN(op.fill())) {
          fill(op, pieces, output);
        }
      }
      case Bucket _ -> throw new IllegalArgumentException("a bucket in a bucket");
    }
  }

  private static Box box(
      TensorType input, long[] source, TensorType output, long[] target, long[] sizes) {
    return Box.of(input.shape(), source, output.shape(), target, sizes, input.dtype().bytes());
  }

  private void reduce(Fold<?> fold, int member, Box box) {
    cut(
        box,
        (begin, end) ->
            (inputs, outputs) -> {
              MemorySegment[] own = {outputs[member]};
              box.forEach(begin, end, (from, to, n) -> fold.run(inputs, from, own, to, n));
            });
  }

  private void copy(Piece piece, TensorType input, TensorType output) {
    Box box = box(input, piece.source(), output, piece.target(), piece.sizes());
    cut(
        box,
        (begin, end) ->
            (inputs, outputs) -> {
              MemorySegment source = inputs[piece.from()];
              MemorySegment target = outputs[piece.to()];
              box.forEach(
                  begin, end, (from, to, n) -> MemorySegment.copy(source, from, target, to, n));
            });
  }

  /** Writes a number wherever no piece is written. */
  private void fill(Moving op, List<Piece> pieces, TensorType output) {
    MemorySegment pattern =
        Arena.ofAuto().allocate((long) PATTERN * output.dtype().bytes(), Long.BYTES);
    Literals.write(Literal.filled(TensorType.of(output.dtype(), PATTERN), op.fill()), pattern);
    for (int member = 0; member < op.members(); member++) {
      int to = member;
      var rest = new ArrayList<Region>();
      rest.add(new Region(new long[output.rank()], output.shape().sizes()));
      for (Piece piece : pieces) {
        if (piece.to() == member) {
          List<Region> before = List.copyOf(rest);
          rest.clear();
          before.forEach(region -> region.without(piece.target(), piece.sizes(), rest));
        }
      }
      for (Region region : rest) {
        Box box = box(output, region.start(), output, region.start(), region.sizes());
        cut(
            box,
            (begin, end) ->
                (_, outputs) ->
                    box.forEach(
                        begin,
                        end,
                        (_, at, n) -> {
                          for (long done = 0; done < n; done += pattern.byteSize()) {
                            long count = Math.min(pattern.byteSize(), n - done);
                            MemorySegment.copy(pattern, 0, outputs[to], at + done, count);
                          }
                        }));
      }
    }
  }

  /** A box of one tensor. */
  private record Region(long[] start, long[] sizes) {
    /** Adds what is left of it, as boxes, when another box is taken away. */
    void without(long[] otherStart, long[] otherSizes, List<Region> rest) {
      long[] from = start.clone();
      long[] left = sizes.clone();
      for (int dim = 0; dim < start.length; dim++) {
        long low = Math.clamp(otherStart[dim], from[dim], from[dim] + left[dim]);
        long high = Math.clamp(otherStart[dim] + otherSizes[dim], low, from[dim] + left[dim]);
        add(from, left, dim, from[dim], low, rest);
        add(from, left, dim, high, from[dim] + left[dim], rest);
        from[dim] = low;
        left[dim] = high - low;
      }
    }

    private static void add(
        long[] start, long[] sizes, int dim, long low, long high, List<Region> rest) {
      long[] from = start.clone();
      long[] part = sizes.clone();
      from[dim] = low;
      part[dim] = high - low;
      if (Shape.of(part).elements() > 0) {
        rest.add(new Region(from, part));
      }
    }
  }

  @FunctionalInterface
  private interface Cut {
    Task task(long begin, long end);
  }

  private void cut(Box box, Cut part) {
    long all = box.bytes();
    bytes += all;
    for (long begin = 0; begin < all; begin += TASK) {
      tasks.add(new Part(tensor, part.task(begin, Math.min(all, begin + TASK))));
    }
  }

  /** How many tasks there are. */
  int tasks() {
    return tasks.size();
  }

  /** Bytes of results, each of a sum counted once. */
  long bytes() {
    return bytes;
  }

  /**
   * Does one task.
   *
   * @param inputs by tensor and member, in the order of the group
   * @param outputs likewise
   */
  void run(int task, MemorySegment[][] inputs, MemorySegment[][] outputs) {
    Part part = tasks.get(task);
    part.task().run(inputs[part.tensor()], outputs[part.tensor()]);
  }
}
