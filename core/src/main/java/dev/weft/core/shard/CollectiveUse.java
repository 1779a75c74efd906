package dev.weft.core.shard;

import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.TensorType;

/**
 * A collective in a partitioned program, with its price and reason.
 *
 * @param op what is done
 * @param local the type of the local tensor that goes in
 * @param global the type of the whole tensor
 * @param bytes that a device sends each time
 * @param count how often: the passes through repeats around it
 * @param role what it is done for
 * @param value the name of the tensor in the whole program
 * @param source the line of the model
 * @param reason why, in words
 */
public record CollectiveUse(
    Collective op,
    TensorType local,
    TensorType global,
    long bytes,
    long count,
    Role role,
    String value,
    String source,
    String reason) {
  /** Bytes that a device sends in all passes. */
  public long totalBytes() {
    return bytes * count;
  }

  /** The same done so often. */
  CollectiveUse withCount(long other) {
    return new CollectiveUse(op, local, global, bytes, other, role, value, source, reason);
  }

  /** The same done for something else. */
  CollectiveUse withRole(Role other) {
    return new CollectiveUse(op, local, global, bytes, count, other, value, source, reason);
  }

  /** The same in each of several passes. */
  CollectiveUse times(long passes) {
    return withCount(count * passes);
  }

  /** The same in other words. */
  public CollectiveUse withWords(String otherValue, String otherReason) {
    return new CollectiveUse(
        op, local, global, bytes, count, role, otherValue, source, otherReason);
  }
}
