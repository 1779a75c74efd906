package dev.weft.core.program;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Graph;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * What the devices of one stage hold and do, all alike.
 *
 * @param mesh the stage's devices
 * @param steps in an order in which one thread could run them all
 */
public record StageProgram(
    int stage,
    Mesh mesh,
    List<Pool> pools,
    List<Buffer> buffers,
    List<Fragment> fragments,
    List<Step> steps) {
  public StageProgram {
    pools = List.copyOf(pools);
    buffers = List.copyOf(buffers);
    fragments = List.copyOf(fragments);
    steps = List.copyOf(steps);
  }

  StageProgram map(UnaryOperator<Graph> pass) {
    List<Fragment> mapped =
        fragments.stream().map(fragment -> fragment.with(pass.apply(fragment.graph()))).toList();
    return new StageProgram(stage, mesh, pools, buffers, mapped, steps);
  }

  /**
   * By pool the slot that a run's fragment lies in; 0 where it does not touch the pool. Runs of a
   * fragment that are alike in it work on the same memory.
   */
  public List<Integer> touched(Step.Run run) {
    Fragment fragment = fragments.get(run.fragment());
    Set<Integer> pools = new HashSet<>();
    fragment.inputs().forEach(buffer -> pools.add(buffers.get(buffer).pool()));
    fragment.outputs().forEach(buffer -> pools.add(buffers.get(buffer).pool()));
    var slots = new ArrayList<Integer>();
    for (int pool = 0; pool < this.pools.size(); pool++) {
      slots.add(pools.contains(pool) ? run.slots().get(pool) : 0);
    }
    return List.copyOf(slots);
  }

  /** Bytes that each device holds for the buffers, all slots together. */
  public long bytes() {
    long bytes = 0;
    for (Buffer buffer : buffers) {
      bytes += buffer.local().bytes() * pools.get(buffer.pool()).slots();
    }
    return bytes;
  }
}
