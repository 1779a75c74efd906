package dev.weft.runtime.worker;

import dev.weft.core.cluster.Bytes;
import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.collective.Bucketing;
import dev.weft.core.collective.Specialization;
import dev.weft.core.graph.Graph;
import dev.weft.core.program.Program;
import dev.weft.engine.program.Lowered;
import dev.weft.engine.program.Routes;
import java.util.List;
import java.util.stream.Stream;

/**
 * How programs are compiled.
 *
 * @param kind of all devices
 * @param threads cores that each device's kernels use
 * @param routes chooses how ops are computed, alike on all devices
 * @param bucket the most bytes that a stage's devices reduce in one collective
 * @param each whether for each device of a stage; else for the first, which tells what the others
 *     need, as they compute alike
 */
public record Compilation(DeviceKind kind, int threads, Routes routes, Bytes bucket, boolean each) {
  /** Compiles a program; nothing is allocated on any device. */
  public CompiledProgram of(Program program) {
    return new CompiledProgram(
        program,
        each
            ? stream(program.stages()).map(stage -> CompiledStage.of(stage, this)).toList()
            : CompiledStage.foretold(program.stages(), this));
  }

  /** All cores compile, unless something is measured meanwhile. */
  <T> Stream<T> stream(List<T> list) {
    return routes.isMeasuring() ? list.stream() : list.parallelStream();
  }

  /** What all devices of a mesh run together, before each has its own. */
  static Lowered common(Graph graph, DeviceKind kind, int devices, Bytes bucket) {
    Lowered lowered = Lowered.of(graph, kind);
    return devices == 1 ? lowered : lowered.map(g -> Bucketing.apply(g, bucket));
  }

  /** What one of the devices runs. */
  static Lowered own(Lowered common, Mesh mesh, int device) {
    return common.map(g -> Specialization.on(g, mesh, device));
  }
}
