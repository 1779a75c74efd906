package dev.weft.core.simulate;

import dev.weft.core.cluster.Cluster;
import dev.weft.core.cluster.Link;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.MeshAxis;
import dev.weft.core.cluster.UserException;
import dev.weft.core.collective.Collective;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.op.Repeat;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What programs take on a cluster: every op by its operations or its bytes, the share of the limit
 * that its class reaches at that size, and every collective on a ring of its group's devices,
 * beside computing where the cluster has it so.
 *
 * @param stageDevices devices of every stage; stages lie one behind the other
 */
public record ClusterCosts(Cluster cluster, int stageDevices) implements CostModel {
  /**
   * Checks that there are devices for all stages.
   *
   * @throws UserException if there are not
   */
  public static ClusterCosts of(Cluster cluster, int stages, int stageDevices) {
    if ((long) stages * stageDevices > cluster.devices()) {
      throw new UserException(
          "%d stages of %d devices need %d devices, the cluster %s has %d: take fewer stages or more hosts, like %s:%d"
              .formatted(
                  stages,
                  stageDevices,
                  stages * stageDevices,
                  cluster.name(),
                  cluster.devices(),
                  cluster.name(),
                  Math.ceilDiv(stages * stageDevices, cluster.devicesPerHost())));
    }
    return new ClusterCosts(cluster, stageDevices);
  }

  @Override
  public Duration fragment(StageProgram stage, Fragment fragment) {
    Duration nodes =
        cluster.overlaps() && !Collective.in(fragment.graph()).isEmpty()
            ? Exposure.of(fragment.graph(), stage.mesh(), this, stage.stage() * stageDevices)
            : graph(fragment.graph(), stage, seconds(fragment.graph()));
    return nodes.and(OpCosts.copies(fragment.graph(), cluster.device()));
  }

  private Duration graph(Graph graph, StageProgram stage, Map<Node, Double> seconds) {
    double time = 0;
    var sent = new ArrayList<Span>();
    for (Node node : graph.nodes()) {
      if (node.op() instanceof Repeat repeat) {
        Duration each = graph(repeat.body(), stage, seconds);
        for (int round = 0; round < repeat.count(); round++) {
          for (Span span : each.collectives()) {
            sent.add(span.in(round, time));
          }
          time += each.time();
        }
      } else if (node.op() instanceof Collective collective) {
        time += seconds.getOrDefault(node, 0.0);
        double taken = collective(collective, node, stage.mesh(), stage.stage() * stageDevices);
        sent.add(new Span(name(node), time, time + taken));
        time += taken;
      } else {
        time += seconds.getOrDefault(node, 0.0);
      }
    }
    return new Duration(time, sent, sent);
  }

  /**
   * The time of a collective.
   *
   * @param base the number of the mesh's first device in the cluster
   */
  double collective(Collective collective, Node node, Mesh mesh, int base) {
    int[] group = mesh.group(0, collective.axes());
    boolean across = false;
    for (int member : group) {
      across |= cluster.host(base + member) != cluster.host(base);
    }
    // On a ring over hosts only the last device of a host sends to the next one, but every group
    // that runs through the host does so at the same time.
    int inner = innermost(mesh, collective);
    int together = across ? Math.max(1, Math.min(cluster.devicesPerHost(), inner)) : 1;
    Link link =
        across
            ? new Link(cluster.between().latency(), cluster.between().bytesPerSecond() / together)
            : cluster.within();
    double bytes = collective.bytesSent(node.inputTypes());
    return collective.hops() * link.latency() + bytes / link.bytesPerSecond();
  }

  /** What a collective is called in traces. */
  static String name(Node node) {
    return node.op().name() + " making %" + node.output(0).name();
  }

  /** How many groups stand beside each other within a host: the product of the inner axes. */
  private static int innermost(Mesh mesh, Collective collective) {
    int beside = 1;
    for (MeshAxis axis : mesh.axes().reversed()) {
      if (collective.axes().stream().anyMatch(a -> a.name().equals(axis.name()))) {
        break;
      }
      beside *= axis.size();
    }
    return beside;
  }

  /** The time of an op that one device computes by itself, its operands lying dense. */
  public double seconds(Node node) {
    return OpCosts.seconds(node, cluster.device());
  }

  /** The times of ops that one device computes by itself, of rounds too, see {@link OpCosts}. */
  Map<Node, Double> seconds(Graph graph) {
    return OpCosts.seconds(graph, cluster.device());
  }

  /** All devices of a stage send at once: those of one host share its way to others. */
  @Override
  public Link link(int from, int to) {
    int most = 0;
    for (int count : crossing(from, to).values()) {
      most = Math.max(most, count);
    }
    Link between = cluster.between();
    return most == 0
        ? cluster.within()
        : new Link(between.latency(), between.bytesPerSecond() / most);
  }

  @Override
  public List<Integer> shared(int from, int to) {
    return List.copyOf(crossing(from, to).keySet());
  }

  /**
   * How many devices of a stage use each host's way out and way in when they send to their
   * counterparts: those whose counterparts are on another host.
   *
   * @return by twice the number of the host, for its way in one more
   */
  private Map<Integer, Integer> crossing(int from, int to) {
    Map<Integer, Integer> counts = new TreeMap<>();
    for (int device = 0; device < stageDevices; device++) {
      int source = cluster.host(from * stageDevices + device);
      int target = cluster.host(to * stageDevices + device);
      if (source != target) {
        counts.merge(2 * source, 1, Integer::sum);
        counts.merge(2 * target + 1, 1, Integer::sum);
      }
    }
    return counts;
  }
}
