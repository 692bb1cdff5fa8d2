package asl

import (
	"math"
	"strings"
	"unicode/utf8"
)

// iteration reads the fields of a Map state.
func (c *checker) iteration(s *State, r *reader) {
	field := "ItemProcessor"
	if r.has("Iterator") {
		if r.has(field) {
			r.problem("Iterator", "cannot stand beside ItemProcessor, which replaces it: keep ItemProcessor")
		} else {
			field = "Iterator"
		}
	}
	if o := r.nested(field); o != nil {
		s.Processor = c.machine(o.object, s.Name, field+".", c.current.QueryLanguage, func(p *reader) {
			c.processorConfig(s, p)
		})
	} else if !r.has(field) {
		r.problem(field, "is missing: it is the state machine that runs for each item")
	}
	whole := span{0, math.MaxInt32, true}
	s.maxConcurrency = r.quantity("MaxConcurrency", whole)
	s.items, s.itemsPath = r.template("Items"), r.path("ItemsPath")
	s.itemSelector = r.template("ItemSelector")
	if v, ok := r.object.fields["Items"]; ok && r.language == JSONata {
		if _, isText := v.(string); isText && !isExpression(v) || v == nil || isScalar(v) {
			r.problem("Items", "must be an array, an object or an expression in {%% %%}, not %s", kindOf(v))
		}
	}
	if r.has("Parameters") && r.has("ItemSelector") && r.language == JSONPath {
		r.problem("Parameters", "cannot stand beside ItemSelector, which replaces it: keep ItemSelector")
	} else if s.parameters.set {
		s.itemSelector, s.parameters = s.parameters, value{}
	}
	if !s.Distributed {
		for _, f := range []string{"ItemReader", "ItemBatcher", "ResultWriter", "Label",
			"ToleratedFailureCount", "ToleratedFailurePercentage", "ToleratedFailureCountPath", "ToleratedFailurePercentagePath"} {
			if r.has(f) {
				r.take(f)
				r.problem(f, "belongs to distributed Map states: set ItemProcessor.ProcessorConfig.Mode to DISTRIBUTED, or remove it")
			}
		}
		return
	}
	s.toleratedCount = r.quantity("ToleratedFailureCount", whole)
	s.toleratedPercent = r.quantity("ToleratedFailurePercentage", span{0, 100, false})
	s.label = r.text("Label")
	if utf8.RuneCountInString(s.label) > 40 || strings.ContainsAny(s.label, " ?*<>{}[]\"#%\\^|~`$&,;:/") {
		r.problem("Label", "has at most 40 characters, without spaces, brackets, wildcards and the signs \"#%%\\^|~`$&,;:/, not %q", s.label)
	}
	c.itemReader(s, r)
	c.itemBatcher(s, r)
	c.resultWriter(s, r)
}

func isScalar(v any) bool {
	switch v.(type) {
	case bool, float64:
		return true
	}
	return false
}

func (c *checker) processorConfig(s *State, p *reader) {
	o := p.nested("ProcessorConfig")
	if o == nil {
		return
	}
	s.Distributed = o.oneOf("Mode", "INLINE", "DISTRIBUTED") == "DISTRIBUTED"
	s.Express = o.oneOf("ExecutionType", "STANDARD", "EXPRESS") == "EXPRESS"
	switch has := o.has("ExecutionType"); {
	case s.Distributed && !has:
		o.problem("ExecutionType", "is missing: a distributed Map state needs STANDARD or EXPRESS")
	case !s.Distributed && has:
		o.problem("ExecutionType", "belongs to Mode DISTRIBUTED: remove it")
	}
	o.rest("ProcessorConfig", "Mode", "ExecutionType")
}

// arguments reads Parameters or Arguments, as the query language has it.
func (r *reader) arguments() value {
	if r.language == JSONata {
		r.foreign("Parameters")
		return r.template("Arguments")
	}
	r.foreign("Arguments")
	return r.template("Parameters")
}

func (c *checker) itemReader(s *State, r *reader) {
	o := r.nested("ItemReader")
	if o == nil {
		return
	}
	if s.items.set || s.itemsPath != nil {
		r.problem("ItemReader", "cannot stand beside Items or ItemsPath: keep one source of items")
	}
	d := &itemReader{resource: o.required("Resource", "it is the API that reads the items, such as arn:aws:states:::s3:getObject")}
	d.arguments = o.arguments()
	if config := o.nested("ReaderConfig"); config != nil {
		d.config.InputType = config.oneOf("InputType", "CSV", "JSON", "JSONL", "MANIFEST", "PARQUET")
		d.config.Transformation = config.oneOf("Transformation", "NONE", "LOAD_AND_FLATTEN")
		d.config.HeaderLocation = config.oneOf("CSVHeaderLocation", "FIRST_ROW", "GIVEN")
		d.config.Headers = config.texts("CSVHeaders")
		d.config.Delimiter = config.oneOf("CSVDelimiter", "COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB")
		d.config.Pointer = config.text("ItemsPointer")
		d.config.ManifestType = config.oneOf("ManifestType", "ATHENA_DATA", "S3_INVENTORY")
		d.maxItems = config.quantity("MaxItems", span{1, 100_000_000, true})
		if d.config.HeaderLocation == "GIVEN" && len(d.config.Headers) == 0 {
			config.problem("CSVHeaders", "is missing: CSVHeaderLocation GIVEN needs the names of the columns")
		}
		if d.config.InputType == "CSV" && d.config.HeaderLocation == "" {
			config.problem("CSVHeaderLocation", "is missing: FIRST_ROW or GIVEN")
		}
		if d.config.Pointer != "" && !strings.HasPrefix(d.config.Pointer, "/") {
			config.problem("ItemsPointer", "must be a JSON pointer such as /orders, not %q", d.config.Pointer)
		}
		config.rest("ReaderConfig", "InputType", "MaxItems", "CSVHeaderLocation", "CSVHeaders")
	}
	if strings.HasSuffix(d.resource, ":s3:getObject") && d.config.InputType == "" {
		o.problem("ReaderConfig.InputType", "is missing: reading an object needs CSV, JSON, JSONL, MANIFEST or PARQUET")
	}
	o.rest("ItemReader", "Resource", "ReaderConfig", "Parameters", "Arguments")
	s.reader = d
}

func (c *checker) itemBatcher(s *State, r *reader) {
	o := r.nested("ItemBatcher")
	if o == nil {
		return
	}
	b := &itemBatcher{input: o.template("BatchInput")}
	b.maxItems = o.quantity("MaxItemsPerBatch", span{1, math.MaxInt32, true})
	b.maxBytes = o.quantity("MaxInputBytesPerBatch", span{1, MaxDataSize, true})
	if !b.maxItems.set && !b.maxBytes.set {
		o.problem("MaxItemsPerBatch", "is missing: a batch needs MaxItemsPerBatch, MaxInputBytesPerBatch or both")
	}
	o.rest("ItemBatcher", "MaxItemsPerBatch", "MaxInputBytesPerBatch", "BatchInput")
	s.batcher = b
}

func (c *checker) resultWriter(s *State, r *reader) {
	o := r.nested("ResultWriter")
	if o == nil {
		return
	}
	w := &resultWriter{resource: o.text("Resource"), arguments: o.arguments()}
	if config := o.nested("WriterConfig"); config != nil {
		w.transformation = config.oneOf("Transformation", "NONE", "COMPACT", "FLATTEN")
		w.outputType = config.oneOf("OutputType", "JSON", "JSONL")
		config.rest("WriterConfig", "Transformation", "OutputType")
	} else if w.resource == "" {
		o.problem("Resource", "is missing: name the API that writes the results, arn:aws:states:::s3:putObject, or set WriterConfig")
	}
	o.rest("ResultWriter", "Resource", "WriterConfig", "Parameters", "Arguments")
	s.writer = w
}
