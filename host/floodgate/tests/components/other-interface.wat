;; A component of another world: it wants what the host does not have, and has
;; no judge.
(component
  (import "somebody:else/oracle@1.0.0" (instance
    (export "ask" (func (param "question" string) (result f64)))))
  (core module $module
    (func (export "run")))
  (core instance $instance (instantiate $module))
  (func (export "run") (canon lift (core func $instance "run"))))
