package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.ArrayList;
import java.util.List;

/**
 * Every member gets the tiles of all.
 *
 * @param dim the dim that is cut over the axes
 * @param size the dim's size in the result
 */
public record AllGather(List<MeshAxis> axes, int dim, long size) implements Moving {
  public AllGather {
    axes = List.copyOf(axes);
  }

  @Override
  public Kind kind() {
    return Kind.ALL_GATHER;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    TensorType input = inputs.getFirst();
    Tiles tiles = Tiles.of(size, axes);
    Check.require(
        input.size(dim) == tiles.room(),
        this,
        inputs,
        "dim " + dim + " must be a tile of " + tiles.room());
    return List.of(input.with(input.shape().with(dim, size)));
  }

  /** The same of tensors whose sizes differ: as much is put together as comes out. */
  @Override
  public AllGather local(List<TensorType> outputs) {
    return new AllGather(axes, dim, outputs.getFirst().size(dim));
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    long result = input.with(input.shape().with(dim, size)).bytes();
    return (members() - 1) * result / members();
  }

  @Override
  public List<Piece> pieces(TensorType input) {
    Tiles tiles = Tiles.of(size, axes);
    var pieces = new ArrayList<Piece>();
    for (int to = 0; to < members(); to++) {
      for (int from = 0; from < members(); from++) {
        long[] target = new long[input.rank()];
        target[dim] = tiles.start(from);
        long[] sizes = input.shape().sizes();
        sizes[dim] = tiles.length(from);
        pieces.add(new Piece(from, new long[input.rank()], to, target, sizes));
      }
    }
    return pieces;
  }
}
