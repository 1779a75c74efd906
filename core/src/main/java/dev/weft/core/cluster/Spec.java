package dev.weft.core.cluster;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * How a tensor is split over a mesh, dim by dim: what users write. Text: {@code [{data},{},?]} is
 * split over data, whole, open; {@code {x,y}} is cut by x, and each tile by y.
 */
public record Spec(List<DimSpec> dims) {
  public Spec {
    dims = List.copyOf(dims);
    Set<String> seen = new HashSet<>();
    for (DimSpec dim : dims) {
      if (dim instanceof DimSpec.Split split) {
        for (String axis : split.axes()) {
          if (!seen.add(axis)) {
            throw new UserException(
                "mesh axis "
                    + axis
                    + " is used twice in "
                    + text(dims)
                    + "; an axis can split one dim of a tensor");
          }
        }
      }
    }
  }

  /** Every dim whole. */
  public static Spec whole(int rank) {
    return new Spec(Collections.nCopies(rank, DimSpec.WHOLE));
  }

  /** A spec from the axes of each dim. */
  public static Spec of(List<List<String>> axes) {
    return new Spec(axes.stream().<DimSpec>map(DimSpec.Split::new).toList());
  }

  /**
   * A spec from what is written in Java: a text of axis names or a {@link DimSpec} for each dim.
   *
   * @throws UserException if something else stands there
   */
  public static Spec from(Object... dims) {
    var read = new ArrayList<DimSpec>();
    for (Object dim : dims) {
      read.add(
          switch (dim) {
            case DimSpec spec -> spec;
            case String axes -> DimSpec.over(axes);
            default ->
                throw new UserException(
                    "expected the names of mesh axes, WHOLE or OPEN for dim "
                        + read.size()
                        + " of a sharding, found "
                        + dim);
          });
    }
    return new Spec(read);
  }

  /**
   * Reads the text form.
   *
   * @throws UserException if the text is no spec
   */
  public static Spec parse(String text) {
    String trimmed = text.trim();
    if (!trimmed.startsWith("[") || !trimmed.endsWith("]")) {
      throw malformed(text);
    }
    String inner = trimmed.substring(1, trimmed.length() - 1).trim();
    var dims = new ArrayList<DimSpec>();
    while (!inner.isEmpty()) {
      if (inner.startsWith("?")) {
        dims.add(DimSpec.OPEN);
        inner = inner.substring(1).trim();
      } else {
        int end = inner.indexOf('}');
        if (!inner.startsWith("{") || end < 0) {
          throw malformed(text);
        }
        String axes = inner.substring(1, end).trim();
        dims.add(axes.isEmpty() ? DimSpec.WHOLE : DimSpec.over(axes));
        inner = inner.substring(end + 1).trim();
      }
      if (inner.startsWith(",") && inner.length() > 1) {
        inner = inner.substring(1).trim();
      } else if (!inner.isEmpty()) {
        throw malformed(text);
      }
    }
    return new Spec(dims);
  }

  private static UserException malformed(String text) {
    return new UserException(
        "expected a sharding like [{data},{},?], with {axes}, {} or ? for each dim, found " + text);
  }

  public int rank() {
    return dims.size();
  }

  /** The axes that split a dim; empty where it is whole or open. */
  public List<String> axes(int dim) {
    return dims.get(dim) instanceof DimSpec.Split split ? split.axes() : List.of();
  }

  /** All axes that split some dim. */
  public List<String> axes() {
    var all = new ArrayList<String>();
    for (int dim = 0; dim < rank(); dim++) {
      all.addAll(axes(dim));
    }
    return all;
  }

  /** Whether nothing is said about any dim. */
  public boolean isOpen() {
    return dims.stream().allMatch(d -> d instanceof DimSpec.Open);
  }

  /** The same spec with whole dims open: what is split stays split, and more may be. */
  public Spec loosened() {
    return new Spec(dims.stream().map(d -> d.equals(DimSpec.WHOLE) ? DimSpec.OPEN : d).toList());
  }

  /** The spec of tensors stacked in a new first dim, which is whole. */
  public Spec stacked() {
    var stacked = new ArrayList<DimSpec>();
    stacked.add(DimSpec.WHOLE);
    stacked.addAll(dims);
    return new Spec(stacked);
  }

  /** The same spec with open dims whole. */
  public Spec closed() {
    return new Spec(
        dims.stream().<DimSpec>map(d -> d instanceof DimSpec.Open ? DimSpec.WHOLE : d).toList());
  }

  /** The same spec without axes that the mesh lacks or that have size 1. */
  public Spec on(Mesh mesh) {
    return new Spec(
        dims.stream()
            .<DimSpec>map(
                d ->
                    d instanceof DimSpec.Split split
                        ? new DimSpec.Split(
                            split.axes().stream().filter(a -> mesh.size(a) > 1).toList())
                        : d)
            .toList());
  }

  private static String text(List<DimSpec> dims) {
    return dims.stream().map(DimSpec::toString).collect(Collectors.joining(",", "[", "]"));
  }

  /** What {@link #parse} reads. */
  @Override
  public String toString() {
    return text(dims);
  }
}
