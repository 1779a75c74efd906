package dev.weft.core.shard;

import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.Tiles;
import dev.weft.core.collective.AllGather;
import dev.weft.core.collective.MaskPadding;
import dev.weft.core.collective.TileEnd;
import dev.weft.core.collective.TileStart;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.Op;
import dev.weft.core.op.SelfSplitting;
import dev.weft.core.op.Tensor;
import java.util.List;

/** A tile along mesh axes, as ops that split themselves see it. */
record MeshPart(Builder builder, String factor, long size, List<MeshAxis> axes)
    implements SelfSplitting.Part {
  private Tiles tiles() {
    return Tiles.of(size, axes);
  }

  @Override
  public long room() {
    return tiles().room();
  }

  @Override
  public int count() {
    return tiles().count();
  }

  @Override
  public Tensor start() {
    return one(new TileStart(axes, size), List.of());
  }

  @Override
  public Tensor end() {
    return one(new TileEnd(axes, size), List.of());
  }

  @Override
  public Tensor number() {
    return one(new TileStart(axes, count()), List.of());
  }

  @Override
  public Tensor masked(Tensor tile, int dim, double fill) {
    return tiles().isEven() ? tile : one(new MaskPadding(axes, dim, size, fill), List.of(tile));
  }

  @Override
  public Tensor gathered(Tensor part, int dim) {
    return one(new AllGather(axes, dim, part.size(dim) * count()), List.of(part));
  }

  private Tensor one(Op op, List<Tensor> inputs) {
    return new Tensor(
        builder, builder.add(op, inputs.stream().map(Tensor::value).toList()).getFirst());
  }
}
