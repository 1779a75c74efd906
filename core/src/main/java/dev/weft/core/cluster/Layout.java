package dev.weft.core.cluster;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Where a tensor is, exactly: which axes split each dim, outermost first, and over which axes the
 * devices hold parts that must still be folded together. Along every other axis the devices hold
 * the same.
 *
 * @param dims per dim the axes that split it
 * @param partial per axis the folding that is outstanding
 */
public record Layout(List<List<String>> dims, Map<String, Folding> partial) {
  public Layout {
    dims = dims.stream().map(List::copyOf).toList();
    partial = Map.copyOf(partial);
  }

  /** The whole tensor on every device. */
  public static Layout whole(int rank) {
    return new Layout(java.util.Collections.nCopies(rank, List.of()), Map.of());
  }

  /** The layout of a spec, open dims whole, without axes that the mesh lacks. */
  public static Layout of(Spec spec, Mesh mesh) {
    Spec fitting = spec.closed().on(mesh);
    var dims = new ArrayList<List<String>>();
    for (int dim = 0; dim < fitting.rank(); dim++) {
      dims.add(fitting.axes(dim));
    }
    return new Layout(dims, Map.of());
  }

  public int rank() {
    return dims.size();
  }

  public List<String> axes(int dim) {
    return dims.get(dim);
  }

  public boolean isPartial() {
    return !partial.isEmpty();
  }

  /** Whether every device holds the whole tensor. */
  public boolean isWhole() {
    return partial.isEmpty() && dims.stream().allMatch(List::isEmpty);
  }

  /** All axes that split some dim. */
  public List<String> splitAxes() {
    return dims.stream().flatMap(List::stream).toList();
  }

  /** The same layout with the axes of one dim replaced. */
  public Layout with(int dim, List<String> axes) {
    var changed = new ArrayList<>(dims);
    changed.set(dim, axes);
    return new Layout(changed, partial);
  }

  /** The same split with other foldings outstanding. */
  public Layout withPartial(Map<String, Folding> other) {
    return new Layout(dims, other);
  }

  public Spec spec() {
    return Spec.of(dims);
  }

  /** {@code [{data},{}]}, and behind it what is outstanding: {@code [{}] sum over model}. */
  @Override
  public String toString() {
    String split = spec().toString();
    return partial.isEmpty()
        ? split
        : split
            + new TreeMap<>(partial)
                .entrySet().stream()
                    .map(e -> e.getValue() + " over " + e.getKey())
                    .collect(Collectors.joining(", ", " ", ""));
  }
}
