package dev.weft.core.collective;

import dev.weft.core.op.OpTable;
import java.util.List;

/** The ops that graphs of several devices have besides those of models. */
public final class CollectiveTable {
  /** All ops by name. */
  public static final OpTable ALL =
      OpTable.STANDARD.with(
          List.of(
              AllGather.class,
              AllReduce.class,
              AllToAll.class,
              Bucket.class,
              HaloExchange.class,
              MaskPadding.class,
              OnFirst.class,
              Permute.class,
              ReduceScatter.class,
              RingConcat.class,
              RingShift.class,
              RingSlice.class,
              RingSum.class,
              StepSlice.class,
              TileEnd.class,
              TileSlice.class,
              TileStart.class,
              WindowSlice.class));

  private CollectiveTable() {}
}
