package dev.weft.runtime.trainer;

import dev.weft.core.graph.TensorType;
import dev.weft.core.trace.Parameter;
import dev.weft.nn.optimizer.Optimizer;
import dev.weft.nn.step.Initialization;
import dev.weft.nn.step.PipelineStep;
import dev.weft.runtime.checkpoint.Checkpoint;
import dev.weft.runtime.checkpoint.Safetensors;
import dev.weft.runtime.checkpoint.TensorData;
import dev.weft.runtime.worker.Pipeline;
import dev.weft.runtime.worker.ShardedBuffer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.Function;

/** Parameters and what the optimizer remembers of them, as stages keep them. */
final class Weights {
  private final PipelineStep step;
  private final Pipeline pipeline;
  private final Optimizer optimizer;

  Weights(PipelineStep step, Pipeline pipeline, Optimizer optimizer) {
    this.step = step;
    this.pipeline = pipeline;
    this.optimizer = optimizer;
  }

  /** Gives all parameters their first values. */
  void initialize(long seed) {
    for (int stage = 0; stage < pipeline.stages(); stage++) {
      for (Parameter parameter : step.stageParameters().get(stage)) {
        try (Arena temporary = Arena.ofShared()) {
          MemorySegment values = temporary.allocate(parameter.type().bytes(), 64);
          Initialization.fill(parameter, seed, values);
          pipeline.kept(stage, parameter.key()).write(values);
        }
      }
    }
  }

  /** Parameters by the names of their layers' parts, in the order of the uncut model. */
  SequencedMap<String, TensorData> model() {
    return tensors(_ -> List.of(""));
  }

  /** The optimizer's tensors by parameter and slot. */
  SequencedMap<String, TensorData> optimizer() {
    return tensors(this::slots);
  }

  /**
   * What is kept for each parameter under its name with some endings, in the order of the uncut
   * model: until the next step where one device has a tensor whole, else copies.
   */
  private SequencedMap<String, TensorData> tensors(Function<Parameter, List<String>> endings) {
    Map<String, TensorData> found = new HashMap<>();
    forEachOwned(
        (stage, parameter) -> {
          for (String ending : endings.apply(parameter)) {
            ShardedBuffer buffer = pipeline.kept(stage, parameter.key() + ending);
            slices(parameter, buffer.whole(), ending, found);
          }
        });
    var tensors = new LinkedHashMap<String, TensorData>();
    for (Parameter parameter : step.parameters()) {
      for (String ending : endings.apply(parameter)) {
        for (String slice : parameter.sliceNames()) {
          tensors.put(slice + ending, Objects.requireNonNull(found.get(slice + ending)));
        }
      }
    }
    return tensors;
  }

  private static void slices(
      Parameter parameter, MemorySegment whole, String suffix, Map<String, TensorData> tensors) {
    long bytes = parameter.sliceType().bytes();
    long offset = 0;
    for (String name : parameter.sliceNames()) {
      tensors.put(
          name + suffix, new TensorData(parameter.sliceType(), whole.asSlice(offset, bytes)));
      offset += bytes;
    }
  }

  @FunctionalInterface
  private interface Visitor {
    void visit(int stage, Parameter parameter);
  }

  private void forEachOwned(Visitor visitor) {
    List<List<Parameter>> stages = step.stageParameters();
    for (int stage = 0; stage < stages.size(); stage++) {
      for (Parameter parameter : stages.get(stage)) {
        if (PipelineStep.owner(stages, parameter) == stage) {
          visitor.visit(stage, parameter);
        }
      }
    }
  }

  /**
   * Takes over a checkpoint's parameters, and the optimizer's tensors where asked for.
   *
   * @throws dev.weft.core.cluster.UserException if it is damaged or of another model
   */
  void restore(Checkpoint checkpoint, boolean withOptimizer) {
    checkpoint.model().require(types(_ -> List.of("")));
    if (withOptimizer) {
      checkpoint.optimizer().require(types(this::slots));
    }
    List<List<Parameter>> stages = step.stageParameters();
    for (int stage = 0; stage < stages.size(); stage++) {
      for (Parameter parameter : stages.get(stage)) {
        write(stage, parameter, "", checkpoint.model());
      }
    }
    if (withOptimizer) {
      forEachOwned(
          (stage, parameter) ->
              slots(parameter)
                  .forEach(ending -> write(stage, parameter, ending, checkpoint.optimizer())));
    }
  }

  /** The types of all layers' parts by name. */
  private Map<String, TensorType> types(Function<Parameter, List<String>> endings) {
    var types = new LinkedHashMap<String, TensorType>();
    for (Parameter parameter : step.parameters()) {
      for (String ending : endings.apply(parameter)) {
        parameter.sliceNames().forEach(name -> types.put(name + ending, parameter.sliceType()));
      }
    }
    return types;
  }

  /** The endings of the names of what the optimizer remembers. */
  private List<String> slots(Parameter parameter) {
    return optimizer.slots(parameter).stream().map(slot -> "." + slot).toList();
  }

  private void write(int stage, Parameter parameter, String ending, Safetensors file) {
    try (Arena temporary = Arena.ofShared()) {
      MemorySegment whole = temporary.allocate(parameter.type().bytes(), 64);
      long offset = 0;
      for (String slice : parameter.sliceNames()) {
        MemorySegment data = file.tensor(slice + ending).data();
        MemorySegment.copy(data, 0, whole, offset, data.byteSize());
        offset += data.byteSize();
      }
      pipeline.kept(stage, parameter.key() + ending).write(whole);
    }
  }
}
