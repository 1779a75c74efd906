package dev.weft.core.op;

import dev.weft.core.cluster.UserException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Dims renamed, regrouped and reordered, {@code "b s (h three d) -> three b h s d"}: groups in
 * brackets are one dim made of several, outermost first. Of each group on the left all names but
 * the last need a size, given in order of appearance.
 */
final class Rearrangement {
  private final String pattern;
  private final List<List<String>> left;
  private final List<List<String>> right;

  private Rearrangement(String pattern, List<List<String>> left, List<List<String>> right) {
    this.pattern = pattern;
    this.left = left;
    this.right = right;
  }

  /**
   * Reads a pattern.
   *
   * @throws UserException if it has no arrow, or its sides have other names
   */
  static Rearrangement of(String pattern) {
    String[] sides = pattern.split("->", -1);
    if (sides.length != 2) {
      throw new UserException("rearrange: expected one '->' in '" + pattern + "'");
    }
    List<List<String>> left = groups(sides[0], pattern);
    List<List<String>> right = groups(sides[1], pattern);
    List<String> names = left.stream().flatMap(List::stream).toList();
    List<String> others = right.stream().flatMap(List::stream).toList();
    if (names.stream().distinct().count() != names.size()
        || !names.stream().sorted().toList().equals(others.stream().sorted().toList())) {
      throw new UserException(
          "rearrange: both sides of '" + pattern + "' must have the same names, each once");
    }
    return new Rearrangement(pattern, left, right);
  }

  private static List<List<String>> groups(String side, String pattern) {
    var groups = new ArrayList<List<String>>();
    List<String> group = null;
    for (String token : side.replace("(", " ( ").replace(")", " ) ").trim().split("\\s+")) {
      if (token.equals("(") && group == null) {
        group = new ArrayList<>();
      } else if (token.equals(")") && group != null) {
        groups.add(group);
        group = null;
      } else if (token.matches("[A-Za-z][A-Za-z0-9_]*")) {
        if (group != null) {
          group.add(token);
        } else {
          groups.add(List.of(token));
        }
      } else if (!token.isEmpty()) {
        throw new UserException("rearrange: unexpected '" + token + "' in '" + pattern + "'");
      }
    }
    return groups;
  }

  Tensor apply(Tensor x, long... given) {
    if (left.size() != x.rank()) {
      throw new UserException(
          "rearrange: '" + pattern + "' is for rank " + left.size() + ", found " + x.type());
    }
    Map<String, Long> sizes = new HashMap<>();
    int next = 0;
    for (int dim = 0; dim < left.size(); dim++) {
      List<String> group = left.get(dim);
      long rest = x.size(dim);
      for (String name : group.subList(0, Math.max(0, group.size() - 1))) {
        if (next == given.length) {
          throw new UserException("rearrange: '" + pattern + "' needs a size for " + name);
        }
        long size = given[next++];
        if (size < 1 || rest % size != 0) {
          throw new UserException(
              "rearrange: "
                  + name
                  + "="
                  + size
                  + " does not divide dim "
                  + dim
                  + " of "
                  + x.type());
        }
        sizes.put(name, size);
        rest /= size;
      }
      if (!group.isEmpty()) {
        sizes.put(group.getLast(), rest);
      }
    }
    if (next != given.length) {
      throw new UserException(
          "rearrange: '" + pattern + "' needs " + next + " sizes, found " + given.length);
    }
    List<String> from = left.stream().flatMap(List::stream).toList();
    List<String> to = right.stream().flatMap(List::stream).toList();
    Tensor split = x.reshape(from.stream().mapToLong(sizes::get).toArray());
    Tensor moved =
        from.equals(to) ? split : split.transpose(to.stream().map(from::indexOf).toList());
    return moved.reshape(
        right.stream()
            .mapToLong(g -> g.stream().mapToLong(sizes::get).reduce(1, (a, b) -> a * b))
            .toArray());
  }
}
