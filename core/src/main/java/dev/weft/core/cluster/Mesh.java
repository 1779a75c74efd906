package dev.weft.core.cluster;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Devices in a grid with named axes. Device numbers run row-major over the axes in their order: the
 * last axis counts fastest.
 */
public record Mesh(List<MeshAxis> axes) {
  /** One device. */
  public static final Mesh SINGLE = new Mesh(List.of());

  private static final int MOST = 1 << 24;

  public Mesh {
    axes = List.copyOf(axes);
    Set<String> names = new HashSet<>();
    for (MeshAxis axis : axes) {
      if (!names.add(axis.name())) {
        throw new UserException("the mesh " + text(axes) + " has two axes named " + axis.name());
      }
    }
    double devices = 1;
    for (MeshAxis axis : axes) {
      devices *= axis.size();
    }
    if (devices > MOST) {
      throw new UserException(
          "the mesh "
              + text(axes)
              + " has more than "
              + MOST
              + " devices, the most that there are");
    }
  }

  /**
   * Reads {@code data=2,model=4}.
   *
   * @throws UserException if the text is no list of axes
   */
  public static Mesh parse(String text) {
    var axes = new ArrayList<MeshAxis>();
    for (String part : text.isBlank() ? new String[0] : text.split(",", -1)) {
      String[] sides = part.split("=", -1);
      int size;
      try {
        size = sides.length == 2 ? Integer.parseInt(sides[1].trim()) : 0;
      } catch (NumberFormatException e) {
        size = 0;
      }
      if (size < 1) {
        throw new UserException(
            "expected a mesh like data=2,model=4 with sizes of at least 1, found '"
                + part.trim()
                + "' in '"
                + text
                + "'");
      }
      axes.add(new MeshAxis(sides[0].trim(), size));
    }
    return new Mesh(axes);
  }

  /** How many devices the mesh has. */
  public int size() {
    int size = 1;
    for (MeshAxis axis : axes) {
      size = Math.multiplyExact(size, axis.size());
    }
    return size;
  }

  /** The axis of that name. */
  public Optional<MeshAxis> axis(String name) {
    return axes.stream().filter(a -> a.name().equals(name)).findFirst();
  }

  /** The size of the axis of that name; 1 where the mesh has none. */
  public int size(String name) {
    for (MeshAxis axis : axes) {
      if (axis.name().equals(name)) {
        return axis.size();
      }
    }
    return 1;
  }

  /** The product of the sizes of some axes. */
  public int size(List<String> names) {
    int size = 1;
    for (String name : names) {
      size *= size(name);
    }
    return size;
  }

  /** The axes of those names, in the order of the names; those that the mesh lacks are left out. */
  public List<MeshAxis> select(List<String> names) {
    return names.stream().flatMap(name -> axis(name).stream()).toList();
  }

  /** Where a device stands along one axis; 0 where the mesh lacks it. */
  public int coordinate(int device, String name) {
    int rest = device;
    for (int i = axes.size() - 1; i >= 0; i--) {
      if (axes.get(i).name().equals(name)) {
        return rest % axes.get(i).size();
      }
      rest /= axes.get(i).size();
    }
    return 0;
  }

  /**
   * A device's number along some axes, row-major over them; an axis that the mesh lacks counts 0.
   */
  public int tile(int device, List<MeshAxis> along) {
    int tile = 0;
    for (MeshAxis axis : along) {
      tile = tile * axis.size() + coordinate(device, axis.name());
    }
    return tile;
  }

  /**
   * The devices that differ from one only along some axes, it included: in row-major order over
   * these axes as they are given.
   */
  public int[] group(int device, List<MeshAxis> along) {
    int[] group = {device};
    for (MeshAxis axis : along) {
      int position = position(axis.name());
      int stride = 1;
      for (int i = position + 1; i < axes.size(); i++) {
        stride *= axes.get(i).size();
      }
      int base = coordinate(device, axis.name());
      int[] longer = new int[group.length * axis.size()];
      for (int i = 0; i < longer.length; i++) {
        longer[i] = group[i / axis.size()] + (i % axis.size() - base) * stride;
      }
      group = longer;
    }
    return group;
  }

  private int position(String name) {
    for (int i = 0; i < axes.size(); i++) {
      if (axes.get(i).name().equals(name)) {
        return i;
      }
    }
    throw new IllegalArgumentException("mesh " + this + " has no axis " + name);
  }

  private static String text(List<MeshAxis> axes) {
    return axes.stream().map(MeshAxis::toString).collect(Collectors.joining(","));
  }

  /** What {@link #parse} reads. */
  @Override
  public String toString() {
    return text(axes);
  }

  /** The coordinates of a device in words, {@code data=0,model=1}. */
  public String describe(int device) {
    return axes.stream()
        .map(axis -> axis.name() + "=" + coordinate(device, axis.name()))
        .collect(Collectors.joining(","));
  }
}
