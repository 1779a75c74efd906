package dev.weft.core.cluster;

import java.util.HashSet;
import java.util.List;

/** How one dim of a tensor is split over a mesh. */
public sealed interface DimSpec {
  /** Left to Weft. */
  DimSpec OPEN = new Open();

  /** Not split. */
  Split WHOLE = new Split(List.of());

  /** Left to Weft; {@link #OPEN}. */
  record Open() implements DimSpec {
    @Override
    public String toString() {
      return "?";
    }
  }

  /**
   * Split over mesh axes: the first cuts the dim, the next cuts each tile of the first, and so on.
   *
   * @param axes names, none twice; empty for a dim that is whole
   */
  record Split(List<String> axes) implements DimSpec {
    public Split {
      axes = List.copyOf(axes);
      var seen = new HashSet<String>();
      for (String axis : axes) {
        MeshAxis.checkName(axis);
        if (!seen.add(axis)) {
          throw new UserException(
              "mesh axis " + axis + " is used twice in {" + String.join(",", axes) + "}");
        }
      }
    }

    @Override
    public String toString() {
      return "{" + String.join(",", axes) + "}";
    }
  }

  /** Split over the axes of a text like {@code data} or {@code x,y}. */
  static Split over(String axes) {
    return new Split(List.of(axes.trim().split("\\s*,\\s*", -1)));
  }
}
