package dev.weft.core.stage;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The cheapest edges to cut between two vertices of a network (Dinic's algorithm). */
final class MinimumCut {
  private static final double NOTHING = 1e-12;

  private final List<List<Integer>> edges = new ArrayList<>();
  private final List<Integer> targets = new ArrayList<>();
  private final List<Double> left = new ArrayList<>();

  /** A new vertex. */
  int vertex() {
    edges.add(new ArrayList<>());
    return edges.size() - 1;
  }

  /** An edge of a capacity, which may be infinite. */
  void edge(int from, int to, double capacity) {
    edges.get(from).add(targets.size());
    targets.add(to);
    left.add(capacity);
    edges.get(to).add(targets.size());
    targets.add(from);
    left.add(0.0);
  }

  /** Which vertices lie on the source's side of a cheapest cut: the fewest. */
  boolean[] reachable(int source, int sink) {
    while (true) {
      int[] level = levels(source);
      if (level[sink] < 0) {
        boolean[] reachable = new boolean[level.length];
        for (int i = 0; i < level.length; i++) {
          reachable[i] = level[i] >= 0;
        }
        return reachable;
      }
      int[] next = new int[edges.size()];
      while (push(source, sink, Double.POSITIVE_INFINITY, level, next) > 0) {
        // Until no path along the levels is left.
      }
    }
  }

  private int[] levels(int source) {
    int[] level = new int[edges.size()];
    Arrays.fill(level, -1);
    level[source] = 0;
    var queue = new ArrayDeque<>(List.of(source));
    while (!queue.isEmpty()) {
      int vertex = queue.remove();
      for (int edge : edges.get(vertex)) {
        int target = targets.get(edge);
        if (left.get(edge) > NOTHING && level[target] < 0) {
          level[target] = level[vertex] + 1;
          queue.add(target);
        }
      }
    }
    return level;
  }

  private double push(int vertex, int sink, double most, int[] level, int[] next) {
    if (vertex == sink) {
      return most;
    }
    for (; next[vertex] < edges.get(vertex).size(); next[vertex]++) {
      int edge = edges.get(vertex).get(next[vertex]);
      int target = targets.get(edge);
      if (left.get(edge) > NOTHING && level[target] == level[vertex] + 1) {
        double pushed = push(target, sink, Math.min(most, left.get(edge)), level, next);
        if (pushed > 0) {
          left.set(edge, left.get(edge) - pushed);
          left.set(edge ^ 1, left.get(edge ^ 1) + pushed);
          return pushed;
        }
      }
    }
    return 0;
  }
}
