package dev.weft.core.collective;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Check;
import java.util.ArrayList;
import java.util.List;

/**
 * Every member hands the tile that it holds to a neighbour on the ring of the group, and gets that
 * of the other neighbour. Behind a shorter tile stands zero.
 *
 * @param dim the dim that is cut over the axes
 * @param size of the whole dim
 * @param ahead which tile each member holds: its own number and so many more, round the ring
 * @param from where it gets the next tile from: 1 for the member behind it in number, -1 for the
 *     one before
 */
public record RingShift(List<MeshAxis> axes, int dim, long size, int ahead, int from)
    implements Moving {
  public RingShift {
    axes = List.copyOf(axes);
  }

  @Override
  public Kind kind() {
    return Kind.PERMUTE;
  }

  @Override
  public int hops() {
    return 1;
  }

  @Override
  public List<TensorType> infer(List<TensorType> inputs) {
    Check.count(this, inputs, 1);
    long room = Tiles.of(size, axes).room();
    Check.require(
        inputs.getFirst().size(dim) == room,
        this,
        inputs,
        "dim " + dim + " must be a tile of " + room);
    return inputs;
  }

  @Override
  public long bytesSent(List<TensorType> inputs) {
    TensorType input = inputs.getFirst();
    return Moving.busiest(pieces(input), members(), input);
  }

  @Override
  public List<Piece> pieces(TensorType input) {
    Tiles tiles = Tiles.of(size, axes);
    int members = members();
    var pieces = new ArrayList<Piece>();
    for (int to = 0; to < members; to++) {
      int sender = Math.floorMod(to + from, members);
      long length = tiles.length(Math.floorMod(sender + ahead, members));
      if (length > 0) {
        long[] origin = new long[input.rank()];
        long[] sizes = input.shape().sizes();
        sizes[dim] = length;
        pieces.add(new Piece(sender, origin, to, origin, sizes));
      }
    }
    return pieces;
  }

  @Override
  public double fill() {
    return 0;
  }
}
