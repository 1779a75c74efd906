package dev.weft.runtime.worker;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.core.program.Footprint;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import dev.weft.core.stage.Partitions;
import dev.weft.engine.program.Compiled;
import dev.weft.engine.program.Lowered;
import dev.weft.engine.program.Place;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** One stage of a program, its fragments compiled for its devices. */
public final class CompiledStage {
  private final StageProgram stage;
  private final List<Place> places;
  private final List<List<Compiled>> fragments;

  private CompiledStage(StageProgram stage, List<Place> places, List<List<Compiled>> fragments) {
    this.stage = stage;
    this.places = List.copyOf(places);
    this.fragments = List.copyOf(fragments);
  }

  static CompiledStage of(StageProgram stage, Compilation compilation) {
    List<Place> places = places(stage);
    List<List<Compiled>> fragments =
        compilation.stream(stage.fragments())
            .map(fragment -> compiled(stage, fragment, places, compilation))
            .toList();
    return new CompiledStage(stage, places, fragments);
  }

  /**
   * Stages that are not run, but tell what they need: of fragments that are alike but for names one
   * stands for all.
   */
  static List<CompiledStage> foretold(List<StageProgram> stages, Compilation compilation) {
    var kinds = new ArrayList<List<List<Object>>>();
    Map<List<Object>, Fragment> first = new LinkedHashMap<>();
    Map<Fragment, StageProgram> stageOf = new IdentityHashMap<>();
    for (StageProgram stage : stages) {
      var own = new ArrayList<List<Object>>();
      for (Fragment fragment : stage.fragments()) {
        List<Object> kind = kind(stage, fragment);
        own.add(kind);
        if (first.putIfAbsent(kind, fragment) == null) {
          stageOf.put(fragment, stage);
        }
      }
      kinds.add(own);
    }
    List<Fragment> compiled = List.copyOf(first.values());
    List<List<Compiled>> results =
        compilation.stream(compiled)
            .map(
                fragment -> {
                  StageProgram stage = Objects.requireNonNull(stageOf.get(fragment));
                  return compiled(stage, fragment, places(stage), compilation);
                })
            .toList();
    Map<List<Object>, List<Compiled>> known = new HashMap<>();
    int number = 0;
    for (List<Object> kind : first.keySet()) {
      known.put(kind, results.get(number++));
    }
    var all = new ArrayList<CompiledStage>();
    for (int stage = 0; stage < stages.size(); stage++) {
      List<List<Compiled>> own =
          kinds.get(stage).stream().map(kind -> Objects.requireNonNull(known.get(kind))).toList();
      all.add(new CompiledStage(stages.get(stage), places(stages.get(stage)), own));
    }
    return List.copyOf(all);
  }

  /** All that compiling a fragment goes by. */
  private static List<Object> kind(StageProgram stage, Fragment fragment) {
    List<Object> kind = Partitions.structure(fragment.graph());
    kind.add(stage.mesh());
    Map<Integer, Integer> numbers = new HashMap<>();
    for (List<Integer> side : List.of(fragment.inputs(), fragment.outputs())) {
      for (int buffer : side) {
        numbers.putIfAbsent(buffer, numbers.size());
        kind.add(Objects.requireNonNull(numbers.get(buffer)));
      }
    }
    return kind;
  }

  private static List<Place> places(StageProgram stage) {
    return stage.buffers().stream().map(b -> Place.of(b.name(), b.local())).toList();
  }

  private static List<Compiled> compiled(
      StageProgram stage, Fragment fragment, List<Place> places, Compilation compilation) {
    Graph graph = fragment.graph().withName(fragment.name());
    Map<Value, Place> bound = new HashMap<>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      bound.put(graph.inputs().get(i).value(), places.get(fragment.inputs().get(i)));
    }
    Map<Integer, Place> given = new HashMap<>();
    for (int i = 0; i < graph.outputs().size(); i++) {
      given.put(i, places.get(fragment.outputs().get(i)));
    }
    int devices = stage.mesh().size();
    Lowered common = Compilation.common(graph, compilation.kind(), devices, compilation.bucket());
    var all = new ArrayList<Compiled>();
    for (int device = 0; device < (compilation.each() ? devices : 1); device++) {
      all.add(
          Compiled.of(
              compilation.kind(),
              compilation.threads(),
              compilation.routes(),
              Compilation.own(common, stage.mesh(), device),
              bound,
              given));
    }
    return List.copyOf(all);
  }

  StageProgram stage() {
    return stage;
  }

  /** What stands for each buffer of the stage, whatever the slot. */
  List<Place> places() {
    return places;
  }

  /** A fragment as each device runs it. */
  List<Compiled> fragment(int number) {
    return fragments.get(number);
  }

  /** What a fragment takes of a device. */
  public Footprint footprint(int fragment, int device) {
    return fragments.get(fragment).get(device).footprint();
  }
}
