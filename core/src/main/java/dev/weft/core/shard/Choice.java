package dev.weft.core.shard;

import dev.weft.core.cluster.Layout;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A priced way to compute a node.
 *
 * @param assignment of axes to factors
 * @param inputs the layouts that the inputs must have
 * @param outputs the layouts that the outputs get
 * @param expansion the op's expansion, rewritten; null where the op itself is used
 * @param cost what it is compared by
 * @param now what must be sent to compute it, without what its outputs may have to move later
 * @param matches how many outputs get the layout they shall have
 */
record Choice(
    Assignment assignment,
    List<Layout> inputs,
    List<Layout> outputs,
    Partitioner.@Nullable Expanded expansion,
    double cost,
    double now,
    int matches) {}
