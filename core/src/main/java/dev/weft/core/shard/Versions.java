package dev.weft.core.shard;

import dev.weft.core.cluster.Layout;
import dev.weft.core.graph.Value;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The layouts that each tensor of the whole program exists in so far, on every device. */
final class Versions {
  /**
   * A tensor in one layout.
   *
   * @param local what stands for it in the program of a device
   */
  record Version(Layout layout, Value local) {}

  private final Map<Value, List<Version>> known = new HashMap<>();

  void add(Value value, Layout layout, Value local) {
    List<Version> versions = known.computeIfAbsent(value, _ -> new ArrayList<>());
    if (versions.stream().noneMatch(v -> v.layout().equals(layout))) {
      versions.add(new Version(layout, local));
    }
  }

  boolean has(Value value) {
    return known.containsKey(value);
  }

  List<Version> of(Value value) {
    List<Version> versions = known.get(value);
    if (versions == null) {
      throw new IllegalStateException(value + " is used before it is made");
    }
    return versions;
  }

  /**
   * The layout to hand a value on in: a goal where it is in that already, else what it was made in.
   */
  Layout settled(Value value, Layout goal) {
    List<Version> versions = of(value);
    return versions.stream().anyMatch(v -> v.layout().equals(goal))
        ? goal
        : versions.getFirst().layout();
  }

  /** Lets a value be another one, in all its versions, those to come included. */
  void alias(Value value, Value same) {
    known.put(value, known.computeIfAbsent(same, _ -> new ArrayList<>()));
  }
}
