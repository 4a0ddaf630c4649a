;; Fits wit/oracle.wit, and traps as soon as it is instantiated.
(component
  (import "floodgate:oracle/types@0.1.0" (instance $types
    (type $attributes (list (tuple string string)))
    (type $entry (record
      (field "id" string)
      (field "body" string)
      (field "received-at" u64)
      (field "attributes" $attributes)))
    (export "entry" (type (eq $entry)))
    (type $verdict (record
      (field "score" f64)
      (field "reasons" (list string))
      (field "output" (option string))
      (field "attributes" $attributes)))
    (export "verdict" (type (eq $verdict)))))
  (alias export $types "entry" (type $entry))
  (alias export $types "verdict" (type $verdict))

  (core module $module
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "judge") (param i32 i32) (result i32) unreachable)
    (func $start unreachable)
    (start $start))
  (core instance $instance (instantiate $module))

  (type $judge (func
    (param "batch" (list $entry))
    (result (list (result $verdict (error string))))))
  (func (export "judge") (type $judge) (canon lift
    (core func $instance "judge")
    (memory (core memory $instance "memory"))
    (realloc (core func $instance "realloc")))))
