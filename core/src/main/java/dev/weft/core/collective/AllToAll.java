package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.ArrayList;
import java.util.List;

/**
 * Axes move from one dim to another: every member cuts its tensor along one dim and gets, of all
 * members, its own tile of it, put together along the other.
 *
 * @param split the dim that is cut
 * @param concat the dim that is put together
 * @param size the size of that dim in the result
 */
public record AllToAll(List<MeshAxis> axes, int split, int concat, long size) implements Moving {
  public AllToAll {
    axes = List.copyOf(axes);
  }

  @Override
  public Kind kind() {
    return Kind.ALL_TO_ALL;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    Tiles joined = Tiles.of(size, axes);
    Check.require(
        split != concat && input.size(concat) == joined.room(),
        this,
        inputs,
        "dim " + concat + " must be a tile of " + joined.room());
    long room = Tiles.of(input.size(split), axes).room();
    return List.of(input.with(input.shape().with(split, room).with(concat, size)));
  }

  /** The same of tensors whose sizes differ: as much is put together as comes out. */
  @Override
  public AllToAll local(List<TensorType> outputs) {
    return new AllToAll(axes, split, concat, outputs.getFirst().size(concat));
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    return (members() - 1) * input.bytes() / members();
  }

  @Override
  public List<Piece> pieces(TensorType input) {
    Tiles joined = Tiles.of(size, axes);
    Tiles cut = Tiles.of(input.size(split), axes);
    var pieces = new ArrayList<Piece>();
    for (int to = 0; to < members(); to++) {
      for (int from = 0; from < members(); from++) {
        long[] source = new long[input.rank()];
        source[split] = cut.start(to);
        long[] target = new long[input.rank()];
        target[concat] = joined.start(from);
        long[] sizes = input.shape().sizes();
        sizes[split] = cut.length(to);
        sizes[concat] = joined.length(from);
        pieces.add(new Piece(from, source, to, target, sizes));
      }
    }
    return pieces;
  }
}
